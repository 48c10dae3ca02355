"""SqueezeNet's Fire module (Iandola et al., arXiv 1602.07360, section 3.2)."""

from __future__ import annotations

from typing import final

from torch import Tensor

from lightcars.layers.composite import Composite
from lightcars.layers.conv_act import ConvAct
from lightcars.layers.conv_norm_act import ConvStyle
from lightcars.layers.gradients import join_channels


@final
class Fire(Composite):
    """1x1 convolution to few channels, then a 1x1 and a 3x3 convolution of these, concatenated.

    (N, in_channels, H, W) -> (N, out_channels, H, W).

    Args:
        in_channels, squeeze_channels, out_channels: before, between and after; the 1x1 expansion makes the
            first half of the output, the 3x3 expansion the rest.
        style: activation and initial weights.
    """

    def __init__(
        self,
        in_channels: int,
        squeeze_channels: int,
        out_channels: int,
        *,
        style: ConvStyle = ConvStyle(),
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.squeeze = ConvAct(in_channels, squeeze_channels, style=style)
        self.expand1x1 = ConvAct(squeeze_channels, half, style=style)
        self.expand3x3 = ConvAct(squeeze_channels, out_channels - half, kernel_size=3, padding=1, style=style)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        return join_channels(self.expand1x1(squeezed), self.expand3x3(squeezed))
