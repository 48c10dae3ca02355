"""GhostModule and GhostBottleneck (Han et al., arXiv 1911.11907, sections 3.1 and 3.2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from lightcars.layers.conv_norm_act import ConvNormAct, ConvStyle
from lightcars.layers.drop_path import DropPath
from lightcars.layers.eager import is_hooked, may_overwrite
from lightcars.layers.gradients import join_channels


@final
class GhostModule(nn.Module):
    """A convolution computes base maps, a depthwise one their "ghosts"; both are concatenated.

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)) for odd kernels.

    Args:
        in_channels, out_channels: channels before and after; surplus maps of an out_channels that
            `ratio` does not divide are cut off.
        kernel_size: of the base convolution.
        ratio: output maps per base map, at least 2.
        depthwise_size: kernel of the cheap operation.
        stride: of the base convolution.
        style: activation (after both convolutions), padding and normalization.
        unit: makes both convolutions, with the arguments of `ConvNormAct`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 1,
        ratio: int = 2,
        depthwise_size: int = 3,
        stride: int = 1,
        style: ConvStyle = ConvStyle(),
        unit: Callable[..., nn.Module] = ConvNormAct,
    ) -> None:
        super().__init__()
        base = math.ceil(out_channels / ratio)
        ghosts = base * (ratio - 1)
        self.out_channels = out_channels
        self._has_surplus = base + ghosts > out_channels
        self.primary = unit(in_channels, base, kernel_size=kernel_size, stride=stride, style=style)
        self.cheap = unit(base, ghosts, kernel_size=depthwise_size, groups=base, style=style)

    def forward(self, x: Tensor) -> Tensor:
        base = self.primary(x)
        y = join_channels(base, self.cheap(base))
        return y[:, : self.out_channels] if self._has_surplus else y


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostParts:
    """What the branch of a bottleneck is made of.

    Attributes:
        expand, project: make the two ghost modules, with the arguments of `GhostModule`.
        unit: makes the depthwise convolution, with the arguments of `ConvNormAct`.
    """

    expand: Callable[..., nn.Module] = GhostModule
    project: Callable[..., nn.Module] = GhostModule
    unit: Callable[..., nn.Module] = ConvNormAct


@final
class GhostBottleneck(nn.Module):
    """Expanding GhostModule, strided depthwise convolution, squeeze, linear GhostModule; plus shortcut.

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    The shortcut is the identity when the shape stays, else a depthwise and a 1x1 convolution.

    Args:
        in_channels, hidden_channels, out_channels: before, inside and after the block.
        kernel_size: of the depthwise convolutions, in the branch and in the shortcut.
        stride: with 1, the branch has no depthwise convolution.
        squeeze_excite: makes the squeeze for the hidden channels; None for none.
        drop_path: probability of dropping the branch for a sample while training.
        style: activation, padding and normalization.
        parts: what the branch is made of.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        squeeze_excite: Callable[[int], nn.Module] | None = None,
        drop_path: float = 0.0,
        style: ConvStyle = ConvStyle(),
        parts: GhostParts = GhostParts(),
    ) -> None:
        super().__init__()
        linear = style.linear()

        def depthwise(channels: int, made_by: Callable[..., nn.Module]) -> nn.Module:
            return made_by(
                channels, channels, kernel_size=kernel_size, stride=stride, groups=channels, style=linear
            )

        self.expand = parts.expand(in_channels, hidden_channels, style=style)
        self.depthwise = depthwise(hidden_channels, parts.unit) if stride > 1 else nn.Identity()
        self.squeeze_excite = squeeze_excite(hidden_channels) if squeeze_excite else nn.Identity()
        self.project = parts.project(hidden_channels, out_channels, style=linear)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.shortcut = (
            nn.Identity()
            if stride == 1 and in_channels == out_channels
            else nn.Sequential(
                depthwise(in_channels, ConvNormAct), ConvNormAct(in_channels, out_channels, style=linear)
            )
        )

    @property
    def branch(self) -> tuple[nn.Module, ...]:
        """See `Residual`."""
        return self.expand, self.depthwise, self.squeeze_excite, self.project

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.drop_path(self.project(self.squeeze_excite(self.depthwise(self.expand(x)))))
        shortcut: Tensor = self.shortcut(x)
        return y.add_(shortcut) if self._may_overwrite(y) else y + shortcut

    def _may_overwrite(self, y: Tensor) -> bool:
        return (
            may_overwrite(y)
            and type(self.project) is GhostModule  # which returns a new map
            and not is_hooked(self.project, self.drop_path)
        )
