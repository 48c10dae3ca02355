"""Operations whose gradients keep the memory format of their input on CPUs; the values are torch's.

An element-wise operation on two tensors of different memory formats leaves its fast path: 5 to 30 times the
time, measured in bfloat16.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor

from lightcars.layers.eager import is_eager


def spatial_mean(x: Tensor, *, keepdim: bool) -> Tensor:
    """Return the mean of each channel: (N, C, H, W) -> (N, C, 1, 1), or (N, C) without `keepdim`.

    torch's own gradient is contiguous, also for a channels_last x.
    """
    if not trains_eagerly(x):
        return x.mean((2, 3), keepdim=keepdim)
    means: Tensor = _SpatialMean.apply(x)
    return means if keepdim else means.flatten(1)


def join_channels(first: Tensor, second: Tensor) -> Tensor:
    """Concatenate channels: (N, A, H, W) and (N, B, H, W) -> (N, A + B, H, W).

    torch's own gradients are views, which are not dense in channels_last.
    """
    if not trains_eagerly(first):
        return torch.cat([first, second], dim=1)
    joined: Tensor = _JoinChannels.apply(first, second)
    return joined


def trains_eagerly(x: Tensor) -> bool:
    """Return whether x, a plain tensor on a CPU that nothing traces, has a gradient."""
    return is_eager(x) and x.requires_grad and x.device.type == "cpu" and torch.is_grad_enabled()


@final
class _SpatialMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.mean((2, 3), keepdim=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        grad_x: Tensor = (gradients[0] / (ctx.shape[2] * ctx.shape[3])).expand(ctx.shape)
        return grad_x  # an expanded view: a hook that writes into it has to copy it first


@final
class _JoinChannels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        ctx.channels = [first.shape[1], second.shape[1]]
        return torch.cat([first, second], dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        parts: tuple[Tensor, ...] = torch.split(gradients[0], ctx.channels, dim=1)
        if not gradients[0].is_contiguous(memory_format=torch.channels_last):
            return parts
        return tuple(part.contiguous(memory_format=torch.channels_last) for part in parts)
