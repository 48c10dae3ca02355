"""Channel shuffle (Zhang et al., arXiv 1707.01083, section 3.1), and the ShuffleNets' units."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from lightcars.layers.composite import Composite
from lightcars.layers.conv_norm_act import ConvNormAct, ConvStyle
from lightcars.layers.drop_path import DropPath
from lightcars.layers.eager import is_eager
from lightcars.layers.gradients import interleave_channels, join_channels


def shuffle_channels(x: Tensor, groups: int) -> Tensor:
    """Return the channels in turn from each of `groups` equal parts: (N, C, H, W) -> the same."""
    if groups == 1:
        return x
    if is_eager(x) and x.is_contiguous(memory_format=torch.channels_last):
        pixels: Tensor = x.permute(0, 2, 3, 1).unflatten(3, (groups, -1))
        pixels = pixels.transpose(3, 4).flatten(3)
        return pixels.permute(0, 3, 1, 2)
    y: Tensor = x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
    return y


@final
class ShuffleV2Unit(Composite):
    """ShuffleNetV2's unit (Ma et al., arXiv 1807.11164, figure 3 c and d).

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)). At stride 1 half of the
    channels pass, the other half goes through 1x1, depthwise and 1x1 convolution. Else all go through these,
    and through a depthwise and a 1x1 convolution. The two halves are interleaved.

    Args:
        in_channels, out_channels: channels before and after; equal at stride 1, even after the unit.
        stride: of the depthwise convolutions.
        style: activation (not after the depthwise convolutions), padding and normalization.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int = 1, style: ConvStyle = ConvStyle()
    ) -> None:
        super().__init__()
        half, linear = out_channels // 2, style.linear()
        self.splits = stride == 1

        def depthwise(channels: int) -> ConvNormAct:
            return ConvNormAct(
                channels, channels, kernel_size=3, stride=stride, groups=channels, style=linear
            )

        self.bypass = (
            nn.Identity()
            if self.splits
            else nn.Sequential(depthwise(in_channels), ConvNormAct(in_channels, half, style=style))
        )
        self.expand = ConvNormAct(half if self.splits else in_channels, half, style=style)
        self.depthwise = depthwise(half)
        self.project = ConvNormAct(half, half, style=style)

    def forward(self, x: Tensor) -> Tensor:
        passing, taken = x.chunk(2, dim=1) if self.splits else (x, x)
        return interleave_channels(self.bypass(passing), self.project(self.depthwise(self.expand(taken))))


@final
class ShuffleUnit(Composite):
    """ShuffleNet's unit (Zhang et al., arXiv 1707.01083, figure 2 b and c).

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)). 1x1 convolution in
    groups, shuffle, depthwise convolution, 1x1 convolution in groups. At stride 1 the input is added, else
    its average pooling is concatenated; then comes the activation.

    Args:
        in_channels, out_channels: channels before and after; equal at stride 1, else more after than before.
        groups: of the 1x1 convolutions; it divides a quarter of out_channels, and in_channels.
        first_groups: of the first 1x1 convolution, if not `groups`.
        stride: of the depthwise convolution.
        drop_path: probability of dropping the branch for a sample while training, where it is added.
        style: activation (not after the last two convolutions), padding and normalization.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        groups: int,
        first_groups: int | None = None,
        stride: int = 1,
        drop_path: float = 0.0,
        style: ConvStyle = ConvStyle(),
    ) -> None:
        super().__init__()
        hidden, linear = out_channels // 4, style.linear()
        self.groups, self.joins = groups, stride > 1
        self.compress = ConvNormAct(in_channels, hidden, groups=first_groups or groups, style=style)
        self.depthwise = ConvNormAct(
            hidden, hidden, kernel_size=3, stride=stride, groups=hidden, style=linear
        )
        added = out_channels - in_channels if self.joins else out_channels
        self.expand = ConvNormAct(hidden, added, groups=groups, style=linear)
        self.drop_path = DropPath(drop_path) if drop_path > 0 and not self.joins else nn.Identity()
        self.shortcut = nn.AvgPool2d(3, stride=stride, padding=1) if self.joins else nn.Identity()
        self.act = style.activation()

    def forward(self, x: Tensor) -> Tensor:
        compressed = shuffle_channels(self.compress(x), self.groups)
        y, shortcut = self.drop_path(self.expand(self.depthwise(compressed))), self.shortcut(x)
        z: Tensor = self.act(join_channels(shortcut, y) if self.joins else y + shortcut)
        return z
