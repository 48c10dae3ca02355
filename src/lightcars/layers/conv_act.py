"""Convolution and activation without normalization, as networks before batch normalization have it."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from lightcars.layers.conv_norm_act import ConvStyle
from lightcars.layers.depthwise import convolve
from lightcars.layers.eager import activate
from lightcars.layers.initialization import conv2d


@final
class ConvAct(nn.Module):
    """Convolution with bias, activation. (N, in_channels, H, W) -> (N, out_channels, h, w).

    Args:
        in_channels, out_channels: channels before and after.
        kernel_size: side of the square kernel.
        stride: of the convolution.
        padding: zeros on every side; 0 makes the map smaller by kernel_size - 1 at stride 1.
        groups: `in_channels` for a depthwise convolution.
        style: activation and initial weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 1,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        style: ConvStyle = ConvStyle(),
    ) -> None:
        super().__init__()
        self.conv = conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            groups=groups,
            initial=style.initial,
        )
        self.act = style.activation()

    def forward(self, x: Tensor) -> Tensor:
        return activate(self.act, convolve(self.conv, x), made_by=self.conv)
