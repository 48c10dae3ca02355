"""HarDNet's harmonic dense block (Chao et al., arXiv 1909.00948, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from lightcars.layers.composite import Composite
from lightcars.layers.conv_norm_act import ConvNormAct, ConvStyle


@final
class HarmonicDenseBlock(Composite):
    """Layers that each take the concatenated outputs of a few earlier ones.

    (N, channels[0], H, W) -> (N, the channels of all odd layers and of the last one, H, W).

    Args:
        links: for every layer, from the first on, the earlier ones that it takes; 0 is the block's input.
        channels: of the input, then of every layer.
        depthwise: a layer is a 1x1 convolution and a 3x3 depthwise one without activation, instead of a 3x3
            convolution.
        style: activation, padding and normalization.
    """

    def __init__(
        self,
        links: Sequence[Sequence[int]],
        channels: Sequence[int],
        *,
        depthwise: bool = False,
        style: ConvStyle = ConvStyle(),
    ) -> None:
        super().__init__()
        self.links = tuple(tuple(link) for link in links)
        self.outputs = tuple(k for k in range(1, len(channels)) if k % 2 or k == len(channels) - 1)
        self.layers = nn.ModuleList(
            _layer(sum(channels[k] for k in link), out_channels, depthwise=depthwise, style=style)
            for link, out_channels in zip(self.links, channels[1:], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for link, layer in zip(self.links, self.layers, strict=True):
            maps.append(layer(_join([maps[k] for k in link])))
        return _join([maps[k] for k in self.outputs])


def _layer(in_channels: int, out_channels: int, *, depthwise: bool, style: ConvStyle) -> nn.Module:
    if not depthwise:
        return ConvNormAct(in_channels, out_channels, kernel_size=3, style=style)
    return nn.Sequential(
        ConvNormAct(in_channels, out_channels, style=style),
        ConvNormAct(out_channels, out_channels, kernel_size=3, groups=out_channels, style=style.linear()),
    )


def _join(maps: list[Tensor]) -> Tensor:
    return maps[0] if len(maps) == 1 else torch.cat(maps, dim=1)
