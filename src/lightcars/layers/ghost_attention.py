"""GhostNetV2's ghost module with attention (Tang et al., arXiv 2211.12905, section 4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import final

import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn

from lightcars.compatibility import is_exporting
from lightcars.layers.composite import Composite
from lightcars.layers.conv_norm_act import ConvNormAct, ConvStyle
from lightcars.layers.eager import shape_of
from lightcars.layers.ghost import GhostModule

LINE = 5
"""Length of the two depthwise convolutions along the axes, at half the resolution."""


def halve(x: Tensor) -> Tensor:
    """Average pairs of rows and columns, without an odd last one: (N, C, H, W) -> (N, C, H // 2, W // 2).

    An axis of one pixel stays.
    """
    sides = x.shape[2:] if is_exporting() else (shape_of(x) or x.shape)[2:]
    kernel = tuple(min(2, side) if isinstance(side, int) else 2 for side in sides)
    return F.avg_pool2d(x, kernel, stride=kernel)


torch.fx.wrap("halve")  # its kernel depends on the size


@final
class AttentiveGhostModule(Composite):
    """A ghost module whose maps are scaled by gates from a long-range view of the input ("DFC attention").

    (N, in_channels, H, W) -> (N, out_channels, H, W). The gates come from the input at half the resolution,
    through a 1x1 convolution and one along each axis; nearest-neighbor interpolation brings
    them back.

    Args:
        in_channels, out_channels: channels before and after.
        style: activation (after the ghost module's convolutions), padding and normalization.
        ghost: makes the ghost module, with the arguments of `GhostModule`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        style: ConvStyle = ConvStyle(),
        ghost: Callable[..., nn.Module] = GhostModule,
    ) -> None:
        super().__init__()
        along = partial(ConvNormAct, out_channels, out_channels, groups=out_channels, style=style.linear())
        self.ghost = ghost(in_channels, out_channels, style=style)
        self.attention = nn.Sequential(
            ConvNormAct(in_channels, out_channels, style=style.linear()),
            along(kernel_size=(1, LINE)),
            along(kernel_size=(LINE, 1)),
        )
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.ghost(x)
        gates: Tensor = self.gate(self.attention(halve(x)))
        return y * F.interpolate(gates, size=y.shape[-2:], mode="nearest")
