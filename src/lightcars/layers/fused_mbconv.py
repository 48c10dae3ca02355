"""Fused-MBConv (Gupta and Akin, "Accelerator-aware Neural Network Design", 2020; EfficientNetV2, arXiv
2104.00298, figure 2)."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from lightcars.layers.conv_norm_act import ConvNormAct, ConvStyle
from lightcars.layers.drop_path import DropPath
from lightcars.layers.eager import is_hooked, may_overwrite
from lightcars.layers.mbconv import SILU


@final
class FusedMBConv(nn.Module):
    """One full convolution in place of MBConv's expansion and depthwise convolution, then the projection.

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    It has a residual connection if the stride is 1 and the number of channels stays.

    Args:
        in_channels, out_channels: channels before and after the block.
        expand_ratio: hidden channels per input channel; 1 for a single convolution without projection.
        kernel_size: of the full convolution.
        stride: of the full convolution.
        drop_path: probability of dropping the branch for a sample while training.
        style: activation, padding and normalization.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expand_ratio: int = 4,
        kernel_size: int = 3,
        stride: int = 1,
        drop_path: float = 0.0,
        style: ConvStyle = SILU,
    ) -> None:
        super().__init__()
        hidden = out_channels if expand_ratio == 1 else in_channels * expand_ratio
        self.residual = stride == 1 and in_channels == out_channels
        self.expand = ConvNormAct(in_channels, hidden, kernel_size=kernel_size, stride=stride, style=style)
        self.project = (
            nn.Identity() if expand_ratio == 1 else ConvNormAct(hidden, out_channels, style=style.linear())
        )
        self.drop_path = DropPath(drop_path) if self.residual and drop_path > 0 else nn.Identity()

    @property
    def branch(self) -> tuple[nn.Module, ...]:
        """See `Residual`."""
        return self.expand, self.project

    @property
    def shortcut(self) -> nn.Module | None:
        """See `Residual`."""
        return nn.Identity() if self.residual else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.drop_path(self.project(self.expand(x)))
        if not self.residual:
            return y
        return y.add_(x) if self._may_overwrite(y) else y + x

    def _may_overwrite(self, y: Tensor) -> bool:
        last = self.expand if isinstance(self.project, nn.Identity) else self.project
        return (
            may_overwrite(y)
            and type(last) is ConvNormAct
            and last.owns_output()
            and not is_hooked(self.project, self.drop_path)
        )
