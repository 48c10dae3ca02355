"""Gradients of depthwise convolutions on processors, where oneDNN's own are slow.

oneDNN 3.13 (torch 2.15) has fast kernels for depthwise convolutions, but not for two of their gradients: that
of a kernel more than 3 wide (it takes the one for dense groups, filled up to 16 channels each), and in
bfloat16 that of the input of a strided convolution. Both are made of what is fast: the first of kernels up to
3 wide, the second of a convolution of the output's gradient with zeros put between its pixels. The sums are
the same.
"""

from __future__ import annotations

from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightcars.layers.eager import is_hooked
from lightcars.layers.gradients import trains_eagerly

WIDEST = 3
"""Kernels for whose gradient oneDNN has a fast depthwise form."""

_HAS_FAST_KERNELS = (
    torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"
)
"""With AVX-512, with which this was measured; elsewhere torch has other kernels."""


def convolve(conv: nn.Module, x: Tensor) -> Tensor:
    """Return `conv(x)`, with fast gradients where torch's are slow.

    Only for an `nn.Conv2d` by exact type without hooks: whatever else was put in its place is called.
    """
    if type(conv) is nn.Conv2d and conv.groups > 1 and has_slow_gradients(conv, x) and not is_hooked(conv):
        return depthwise_conv2d(x, conv.weight, conv.stride[0], int(conv.padding[0]))
    y: Tensor = conv(x)
    return y


def has_slow_gradients(conv: nn.Conv2d, x: Tensor) -> bool:
    """Whether `depthwise_conv2d` is for this convolution of x, (N, C, H, W): it is faster in training."""
    return (
        _trains(x)
        and x.ndim == 4
        and _is_plain(conv)
        and _computed_in(x) == _computed_in(conv.weight)
        and _is_slow(conv, _computed_in(x))
        and x.shape[3] >= conv.kernel_size[1] - int(conv.padding[1])  # else nothing of x may be left
        and _HAS_FAST_KERNELS
    )


def _is_plain(conv: nn.Conv2d) -> bool:
    """One square kernel for each channel, and nothing that `depthwise_conv2d` does not know."""
    return (
        conv.groups == conv.in_channels == conv.out_channels
        and conv.bias is None
        and conv.padding_mode == "zeros"
        and conv.dilation == (1, 1)
        and not isinstance(conv.padding, str)
        and all(len(set(pair)) == 1 for pair in (conv.kernel_size, conv.stride, conv.padding))
    )


def _trains(x: Tensor) -> bool:
    """Eagerly, or by a compiler, which calls the same kernels; torch.export keeps the plain operator."""
    if torch.compiler.is_compiling():
        if torch.compiler.is_exporting():
            return False
        return x.device.type == "cpu" and x.requires_grad and torch.is_grad_enabled()
    return trains_eagerly(x)


def _is_slow(conv: nn.Conv2d, dtype: torch.dtype) -> bool:
    wide, strided = conv.kernel_size[1] > WIDEST, conv.stride[0] > 1
    if dtype == torch.float32:
        return wide and not strided  # strided, the copies of x cost what the kernel gives
    return dtype == torch.bfloat16 and (wide or strided)


def _computed_in(x: Tensor) -> torch.dtype:
    if x.dtype == torch.float64 or not torch.is_autocast_enabled("cpu"):  # which leaves float64 alone
        return x.dtype
    return torch.get_autocast_dtype("cpu")


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """`F.conv2d` with one kernel for each channel, also under autocast, and with fast gradients.

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
        of_x = of_weight = None
        with torch.autocast("cpu", enabled=False):
            if ctx.needs_input_grad[0]:
                of_x = _of_input(gradients[0], x, weight, ctx.stride, ctx.padding)
            if ctx.needs_input_grad[1]:
                of_weight = _of_weight(gradients[0], x, weight, ctx.stride, ctx.padding)
        return of_x, of_weight, None, None


def _of_input(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    if stride == 1 or x.dtype != torch.bfloat16:
        return _onednns(gradient, x, weight, stride, (padding, padding), of_weight=False)
    size = weight.shape[2]
    height, width = (side + 2 * padding - size + 1 for side in x.shape[2:])
    shape = (*gradient.shape[:2], height, width)
    spread = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last).zero_()
    spread[:, :, ::stride, ::stride] = gradient
    return F.conv2d(spread, weight.flip(2, 3), padding=size - 1 - padding, groups=x.shape[1])


def _of_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    if weight.shape[3] <= WIDEST:
        return _onednns(gradient, x, weight, stride, (padding, padding), of_weight=True)
    covered = (gradient.shape[3] - 1) * stride
    parts: list[Tensor] = []
    for part in weight.split(WIDEST, dim=3):
        first = sum(before.shape[3] for before in parts) - padding  # column of x that its first one meets
        last = first + covered + part.shape[3]
        columns = F.pad(x, (-first, last - x.shape[3]))  # cut off where negative
        parts.append(_onednns(gradient, columns, part, stride, (padding, 0), of_weight=True))
    return torch.cat(parts, dim=3)


def _onednns(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], *, of_weight: bool
) -> Tensor:
    """torch's own gradient of the weight or of the input."""
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
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
    return found[1] if of_weight else found[0]
