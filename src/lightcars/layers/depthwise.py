"""Faster gradients of depthwise convolutions on CPUs.

oneDNN 3.13 (torch 2.15) has fast kernels for depthwise convolutions, but not for two of their gradients: the
weight gradient of kernels wider than 3 (it uses the kernel for dense groups, padded to 16 channels each), and
in bfloat16 the input gradient of strided convolutions. Here the first is computed in parts up to 3 wide, the
second by convolving the output's gradient with zeros inserted between its pixels. The sums are the same.
"""

from __future__ import annotations

from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightcars.compatibility import is_exporting
from lightcars.layers.eager import is_hooked
from lightcars.layers.gradients import trains_eagerly

WIDEST = 3
"""Width up to which oneDNN computes the weight gradient by a fast depthwise kernel."""

_HAS_FAST_KERNELS = (
    torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"
)
"""With AVX-512, where this was measured; other CPUs have other kernels."""


def convolve(conv: nn.Module, x: Tensor) -> Tensor:
    """Return `conv(x)`, with fast gradients where torch's are slow.

    Fast gradients are for an `nn.Conv2d` by exact type without hooks; any other module is called.
    """
    if type(conv) is nn.Conv2d and conv.groups > 1 and has_slow_gradients(conv, x) and not is_hooked(conv):
        return depthwise_conv2d(x, conv.weight, conv.stride[0], int(conv.padding[0]))
    y: Tensor = conv(x)
    return y


def has_slow_gradients(conv: nn.Conv2d, x: Tensor) -> bool:
    """Return whether `depthwise_conv2d` trains faster than this convolution of x, (N, C, H, W)."""
    return (
        _trains(x)
        and x.ndim == 4
        and _is_plain(conv)
        and _computed_in(x) == _computed_in(conv.weight)
        and _is_slow(conv, _computed_in(x))
        and x.shape[3]
        >= conv.kernel_size[1] - int(conv.padding[1])  # else a part of the kernel may see no pixel of x
        and _HAS_FAST_KERNELS
    )


def _is_plain(conv: nn.Conv2d) -> bool:
    """Return whether it has one square kernel per channel and only settings of `depthwise_conv2d`."""
    return (
        conv.groups == conv.in_channels == conv.out_channels
        and conv.bias is None
        and conv.padding_mode == "zeros"
        and conv.dilation == (1, 1)
        and not isinstance(conv.padding, str)
        and all(len(set(pair)) == 1 for pair in (conv.kernel_size, conv.stride, conv.padding))
    )


def _trains(x: Tensor) -> bool:
    """Return whether x is in training, eager or compiled; torch.export keeps the plain operator."""
    if torch.compiler.is_compiling():
        if is_exporting():
            return False
        return x.device.type == "cpu" and x.requires_grad and torch.is_grad_enabled()
    return trains_eagerly(x)


def _is_slow(conv: nn.Conv2d, dtype: torch.dtype) -> bool:
    wide, strided = conv.kernel_size[1] > WIDEST, conv.stride[0] > 1
    if dtype == torch.float32:
        return wide and not strided  # strided, copying x costs as much as the kernel saves
    return dtype == torch.bfloat16 and (wide or strided)


def _computed_in(x: Tensor) -> torch.dtype:
    """Return the dtype in which a convolution of x is computed."""
    if x.dtype == torch.float64 or not torch.is_autocast_enabled("cpu"):  # autocast leaves float64 alone
        return x.dtype
    return torch.get_autocast_dtype("cpu")


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Return `F.conv2d` with one kernel per channel, also under autocast, and with fast gradients.

    (N, C, H, W) and (C, 1, k, k) -> (N, C, (H + 2 padding - k) // stride + 1, likewise).

    Args:
        x, weight: float32 or bfloat16.
        stride: in both directions.
        padding: zeros on each side, less than k.
    """
    dtype = _computed_in(x)
    y: Tensor = _DepthwiseConv2d.apply(x.to(dtype), weight.to(dtype), stride, padding)
    return y


@final
class _DepthwiseConv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = None
        with torch.autocast("cpu", enabled=False):
            if ctx.needs_input_grad[0]:
                grad_x = _input_gradient(gradients[0], x, weight, ctx.stride, ctx.padding)
            if ctx.needs_input_grad[1]:
                grad_weight = _weight_gradient(gradients[0], x, weight, ctx.stride, ctx.padding)
        return grad_x, grad_weight, None, None


def _input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    if stride == 1 or x.dtype != torch.bfloat16:
        return _torch_gradient(gradient, x, weight, stride, (padding, padding), of_weight=False)
    size = weight.shape[2]
    height, width = (side + 2 * padding - size + 1 for side in x.shape[2:])
    shape = (*gradient.shape[:2], height, width)
    dilated = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last).zero_()
    dilated[:, :, ::stride, ::stride] = gradient
    return F.conv2d(dilated, weight.flip(2, 3), padding=size - 1 - padding, groups=x.shape[1])


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    if weight.shape[3] <= WIDEST:
        return _torch_gradient(gradient, x, weight, stride, (padding, padding), of_weight=True)
    covered = (gradient.shape[3] - 1) * stride
    parts: list[Tensor] = []
    for part in weight.split(WIDEST, dim=3):
        first = sum(before.shape[3] for before in parts) - padding  # column of x under its first column
        last = first + covered + part.shape[3]
        columns = F.pad(x, (-first, last - x.shape[3]))  # negative pads crop
        parts.append(_torch_gradient(gradient, columns, part, stride, (padding, 0), of_weight=True))
    return torch.cat(parts, dim=3)


def _torch_gradient(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], *, of_weight: bool
) -> Tensor:
    """Return torch's own gradient of the weight or of the input."""
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        None,
        [stride, stride],
        padding,
        [1, 1],
        False,
        [0, 0],
        x.shape[1],
        [not of_weight, of_weight, False],
    )
    return gradients[1] if of_weight else gradients[0]
