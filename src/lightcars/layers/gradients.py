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


def interleave_channels(first: Tensor, second: Tensor) -> Tensor:
    """Return the channels in turn from both: two times (N, C, H, W) -> (N, 2 C, H, W).

    This is the concatenation, shuffled in two groups, in one copy. torch's own gradients are views, which
    are not dense in channels_last.
    """
    if not trains_eagerly(second):
        return _interleave(first, second)
    interleaved: Tensor = _InterleaveChannels.apply(first, second)
    return interleaved


def _interleave(first: Tensor, second: Tensor) -> Tensor:
    if is_eager(first) and second.is_contiguous(memory_format=torch.channels_last):
        pixels = torch.stack((first.permute(0, 2, 3, 1), second.permute(0, 2, 3, 1)), dim=4)
        return pixels.flatten(3).permute(0, 3, 1, 2)
    return torch.stack((first, second), dim=2).flatten(1, 2)


def trains_eagerly(x: Tensor) -> bool:
    """Return whether x, a plain tensor on a CPU that nothing traces, has a gradient."""
    return (
        type(x) is Tensor
        and x.requires_grad
        and x.device.type == "cpu"
        and torch.is_grad_enabled()
        and is_eager(x)
    )


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
        return _parts(gradients[0], torch.split(gradients[0], ctx.channels, dim=1))


@final
class _InterleaveChannels(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        return _interleave(first, second)

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return _parts(gradients[0], (gradients[0][:, ::2], gradients[0][:, 1::2]))


def _parts(whole: Tensor, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return views of a tensor, as copies in its memory format if that is channels_last."""
    if not whole.is_contiguous(memory_format=torch.channels_last):
        return parts
    return tuple(part.contiguous(memory_format=torch.channels_last) for part in parts)
