"""Universal inverted bottleneck (MobileNetV4, arXiv 2404.10518, section 3 and figure 4)."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from lightcars.layers.conv_norm_act import ConvNormAct, ConvStyle
from lightcars.layers.drop_path import DropPath
from lightcars.layers.eager import is_hooked, may_overwrite


@final
class UniversalInvertedBottleneck(nn.Module):
    """Linear depthwise convolution, 1x1 expansion, depthwise convolution, linear 1x1 projection, residual.

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    Either depthwise convolution may be left out: without the first it is MBConv ("IB" in the paper), without
    the second "ConvNext", without both "FFN", and with both "ExtraDW". It has a residual connection if the
    stride is 1 and the number of channels stays.

    Args:
        in_channels, hidden_channels, out_channels: before, inside and after the block.
        start_kernel_size: of the depthwise convolution before the expansion; 0 for none.
        kernel_size: of the depthwise convolution behind the expansion; 0 for none.
        stride: of the last depthwise convolution; 1 if there is none.
        drop_path: probability of dropping the branch for a sample while training.
        style: activation, padding and normalization.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        *,
        start_kernel_size: int = 0,
        kernel_size: int = 3,
        stride: int = 1,
        drop_path: float = 0.0,
        style: ConvStyle = ConvStyle(),
    ) -> None:
        super().__init__()

        def depthwise(channels: int, size: int, stride: int, style: ConvStyle) -> nn.Module:
            if size == 0:
                return nn.Identity()
            return ConvNormAct(
                channels, channels, kernel_size=size, stride=stride, groups=channels, style=style
            )

        first_stride = 1 if kernel_size else stride
        self.residual = stride == 1 and in_channels == out_channels
        self.start = depthwise(in_channels, start_kernel_size, first_stride, style.linear())
        self.expand = ConvNormAct(in_channels, hidden_channels, style=style)
        self.depthwise = depthwise(hidden_channels, kernel_size, stride, style)
        self.project = ConvNormAct(hidden_channels, out_channels, style=style.linear())
        self.drop_path = DropPath(drop_path) if self.residual and drop_path > 0 else nn.Identity()

    @property
    def branch(self) -> tuple[nn.Module, ...]:
        """See `Residual`."""
        return self.start, self.expand, self.depthwise, self.project

    @property
    def shortcut(self) -> nn.Module | None:
        """See `Residual`."""
        return nn.Identity() if self.residual else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.drop_path(self.project(self.depthwise(self.expand(self.start(x)))))
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
