"""Depthwise separable convolution (MobileNet, arXiv 1704.04861, section 3.1)."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from lightcars.layers.conv_norm_act import ConvNormAct, ConvStyle


@final
class DepthwiseSeparable(nn.Module):
    """Depthwise convolution, then a 1x1 convolution; an activation after each of them, no shortcut.

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).

    Args:
        in_channels, out_channels: channels before and after the block.
        kernel_size, stride: of the depthwise convolution.
        style: activation, padding and normalization.
    """

    shortcut: None = None
    """See `Residual`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        style: ConvStyle = ConvStyle(),
    ) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(
            in_channels, in_channels, kernel_size=kernel_size, stride=stride, groups=in_channels, style=style
        )
        self.pointwise = ConvNormAct(in_channels, out_channels, style=style)

    @property
    def branch(self) -> tuple[nn.Module, ...]:
        """See `Residual`."""
        return self.depthwise, self.pointwise

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return y
