"""MBConv, the mobile inverted bottleneck (MobileNetV2, arXiv 1801.04381; EfficientNet, arXiv 1905.11946)."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import Tensor, nn

from lightcars.layers.conv_norm_act import ConvNormAct, ConvStyle
from lightcars.layers.drop_path import DropPath
from lightcars.layers.eager import is_hooked, may_overwrite

SILU = ConvStyle(activation=nn.SiLU)


@final
class MBConv(nn.Module):
    """1x1 expansion, depthwise convolution, squeeze-and-excitation, linear 1x1 projection, residual.

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    It has a residual connection if the stride is 1 and the number of channels stays.

    Args:
        in_channels, out_channels: channels before and after the block.
        expand_ratio: hidden channels per input channel, of which the nearest whole number is taken; 1 for no
            expansion.
        kernel_size: of the depthwise convolution.
        stride: of the depthwise convolution.
        squeeze_excite: makes the squeeze-and-excitation for the hidden channels; None for none.
        drop_path: probability of dropping the branch for a sample while training.
        style: activation, padding and normalization.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expand_ratio: float = 6,
        kernel_size: int = 3,
        stride: int = 1,
        squeeze_excite: Callable[[int], nn.Module] | None = None,
        drop_path: float = 0.0,
        style: ConvStyle = SILU,
    ) -> None:
        super().__init__()
        hidden = round(in_channels * expand_ratio)
        self.residual = stride == 1 and in_channels == out_channels
        self.expand = (
            nn.Identity() if hidden == in_channels else ConvNormAct(in_channels, hidden, style=style)
        )
        self.depthwise = ConvNormAct(
            hidden, hidden, kernel_size=kernel_size, stride=stride, groups=hidden, style=style
        )
        self.squeeze_excite = squeeze_excite(hidden) if squeeze_excite else nn.Identity()
        self.project = ConvNormAct(hidden, out_channels, style=style.linear())
        self.drop_path = DropPath(drop_path) if self.residual and drop_path > 0 else nn.Identity()

    @property
    def branch(self) -> tuple[nn.Module, ...]:
        """See `Residual`."""
        return self.expand, self.depthwise, self.squeeze_excite, self.project

    @property
    def shortcut(self) -> nn.Module | None:
        """See `Residual`."""
        return nn.Identity() if self.residual else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.drop_path(self.project(self.squeeze_excite(self.depthwise(self.expand(x)))))
        if not self.residual:
            return y
        return y.add_(x) if self._may_overwrite(y) else y + x

    def _may_overwrite(self, y: Tensor) -> bool:
        project = self.project
        return (
            may_overwrite(y)
            and type(project) is ConvNormAct
            and project.owns_output()
            and not is_hooked(self.drop_path)
        )
