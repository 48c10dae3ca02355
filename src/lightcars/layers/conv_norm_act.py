"""Convolution, batch normalization, activation: the unit that every model here is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from lightcars.layers.initialization import Conv2d

Padding = Literal["symmetric", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvStyle:
    """What all convolutions of one model have in common.

    Attributes:
        activation: makes the activation module; `nn.Identity` for none.
        padding: "symmetric" pads kernel_size // 2 on every side, as PyTorch models do; "same" pads as
            TensorFlow does, from the size of the input at hand and with the odd pixel at the end.
        eps, momentum: of the batch normalization, in PyTorch's sense (momentum is the new value's share).
    """

    activation: Callable[[], nn.Module] = nn.ReLU
    padding: Padding = "symmetric"
    eps: float = 1e-5
    momentum: float = 0.1

    def linear(self) -> ConvStyle:
        """The same style without an activation."""
        return replace(self, activation=nn.Identity)


def same_padding(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """Pixels before and after an axis of `size` pixels that TensorFlow's SAME adds to it.

    Correct for symbolic sizes too (torch.export), as long as kernel_size >= stride. Nothing negative is
    divided: ONNX and OpenVINO round towards zero where Python rounds down.
    """
    total = ((size + stride - 1) // stride - 1) * stride + kernel_size - size
    if kernel_size < stride:
        total = max(total, 0)
    return total // 2, total - total // 2


@final
class SameConv2d(Conv2d):
    """Convolution with TensorFlow's SAME padding, computed from each input's real size.

    (N, C, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def forward(self, input: Tensor) -> Tensor:
        top, bottom = same_padding(input.shape[-2], self.kernel_size[0], self.stride[0])
        left, right = same_padding(input.shape[-1], self.kernel_size[1], self.stride[1])
        return super().forward(F.pad(input, (left, right, top, bottom)))


def _convolution(
    in_channels: int, out_channels: int, *, kernel_size: int, stride: int, groups: int, padding: Padding
) -> nn.Conv2d:
    # At stride 1 with an odd kernel both paddings are the same, so only strided ones need the pad.
    if padding == "same" and (stride > 1 or kernel_size % 2 == 0):
        return SameConv2d(in_channels, out_channels, kernel_size, stride, groups=groups, bias=False)
    return Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False
    )


@final
class ConvNormAct(nn.Module):
    """Convolution without bias, BatchNorm2d, activation.

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)) for odd kernels.

    Args:
        in_channels, out_channels: channels before and after.
        kernel_size: side of the square kernel.
        stride: of the convolution.
        groups: `in_channels` for a depthwise convolution.
        style: activation, padding and normalization.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        style: ConvStyle = ConvStyle(),
    ) -> None:
        super().__init__()
        self.conv = _convolution(
            in_channels,
            out_channels,
            kernel_size=kernel_size,
            stride=stride,
            groups=groups,
            padding=style.padding,
        )
        self.norm = nn.BatchNorm2d(out_channels, eps=style.eps, momentum=style.momentum)
        self.act = style.activation()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.norm(self.conv(x)))
        return y
