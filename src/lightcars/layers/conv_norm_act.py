"""Convolution, batch normalization, activation: the basic unit of every model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from lightcars.layers.depthwise import convolve
from lightcars.layers.eager import activate, is_hooked
from lightcars.layers.initialization import InitialWeights, conv2d, fan_out

Padding = Literal["symmetric", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvStyle:
    """Settings that all convolutions of a model share.

    Attributes:
        activation: makes the activation module; `nn.Identity` for none.
        initial: samples the initial weights of a convolution.
        padding: "symmetric" pads kernel_size // 2 on every side, as PyTorch models do; "same" pads as
            TensorFlow does, from the actual size of the input, with the odd pixel at the end.
        bias: whether the convolutions have one, although the batch normalization makes it redundant.
        eps, momentum: of the batch normalization, in PyTorch's sense (momentum is the new value's share).
    """

    activation: Callable[[], nn.Module] = nn.ReLU
    initial: InitialWeights = fan_out
    padding: Padding = "symmetric"
    bias: bool = False
    eps: float = 1e-5
    momentum: float = 0.1

    def linear(self) -> ConvStyle:
        """Return the same style without an activation."""
        return replace(self, activation=nn.Identity)


def same_padding(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """Return how many pixels TensorFlow's SAME padding adds before and after an axis of `size` pixels.

    Correct for symbolic sizes too (torch.export), as long as kernel_size >= stride. Nothing negative is
    divided: ONNX and OpenVINO round towards zero where Python rounds down.
    """
    total = ((size + stride - 1) // stride - 1) * stride + kernel_size - size
    if kernel_size < stride:
        total = max(total, 0)
    return total // 2, total - total // 2


def pad_same(x: Tensor, kernel_size: int, stride: int) -> Tensor:
    """Pad a map with zeros as TensorFlow's SAME does, from its actual size. (N, C, H, W) -> (N, C, h, w)."""
    top, bottom = same_padding(x.shape[-2], kernel_size, stride)
    left, right = same_padding(x.shape[-1], kernel_size, stride)
    return F.pad(x, (left, right, top, bottom))


@final
class ConvNormAct(nn.Module):
    """Convolution, BatchNorm2d, activation.

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)) for odd kernels and the
    padding of the style.

    Args:
        in_channels, out_channels: channels before and after.
        kernel_size: side of the square kernel, or (height, width), which padding "same" does not have.
        stride: of the convolution.
        groups: `in_channels` for a depthwise convolution.
        padding: zeros on every side, if not those of the style.
        style: activation, padding, normalization and initial weights.

    Attributes:
        pads_same: whether the input gets TensorFlow's SAME padding before `conv`, which then has none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int | tuple[int, int] = 1,
        stride: int = 1,
        groups: int = 1,
        padding: int | None = None,
        style: ConvStyle = ConvStyle(),
    ) -> None:
        super().__init__()
        sides = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        # At stride 1 with an odd kernel both paddings are the same.
        self.pads_same = style.padding == "same" and padding is None and (stride > 1 or sides[0] % 2 == 0)
        symmetric = (sides[0] // 2, sides[1] // 2) if padding is None else padding
        self.conv = conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=0 if self.pads_same else symmetric,
            groups=groups,
            bias=style.bias,
            initial=style.initial,
        )
        self.norm = nn.BatchNorm2d(out_channels, eps=style.eps, momentum=style.momentum)
        self.act = style.activation()

    def forward(self, x: Tensor) -> Tensor:
        if self.pads_same:
            x = pad_same(x, self.conv.kernel_size[0], self.conv.stride[0])
        return activate(self.act, self.norm(convolve(self.conv, x)), made_by=self.norm)

    def owns_output(self) -> bool:
        """Return whether nothing else holds the map that a call returned: no hook, and no other module."""
        return type(self.norm) is nn.BatchNorm2d and not is_hooked(self, self.norm, self.act)
