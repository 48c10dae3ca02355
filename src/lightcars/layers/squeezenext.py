"""SqueezeNext's block (Gholami et al., arXiv 1803.10615, figure 2)."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from lightcars.layers.composite import Composite
from lightcars.layers.conv_norm_act import ConvNormAct, ConvStyle
from lightcars.layers.drop_path import DropPath

BRANCH_SCALE = 0.25
"""Initial weight of the last batch norm of a branch. With 1, the sums of 21 rectified branches amplify
rounding errors 200 times more before training."""


@final
class SqueezeNextBlock(Composite):
    """Two 1x1 convolutions to fewer channels, 1x3, 3x1, a 1x1 convolution back; plus shortcut, activation.

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)). The shortcut is the
    identity when the shape stays, else a 1x1 convolution.

    Args:
        in_channels, out_channels: channels before and after.
        stride: of the first convolution and of the shortcut.
        drop_path: probability of dropping the branch for a sample while training.
        style: activation (after every convolution), padding and normalization.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        drop_path: float = 0.0,
        style: ConvStyle = ConvStyle(),
    ) -> None:
        super().__init__()
        reduction = 1 if stride > 1 else 4 if in_channels > out_channels else 2
        hidden = max(1, in_channels // reduction)
        narrow = max(1, hidden // 2)
        self.squeeze1 = ConvNormAct(in_channels, hidden, stride=stride, style=style)
        self.squeeze2 = ConvNormAct(hidden, narrow, style=style)
        self.horizontal = ConvNormAct(narrow, hidden, kernel_size=(1, 3), style=style)
        self.vertical = ConvNormAct(hidden, hidden, kernel_size=(3, 1), style=style)
        self.expand = ConvNormAct(hidden, out_channels, style=style)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.shortcut = (
            nn.Identity()
            if stride == 1 and in_channels == out_channels
            else ConvNormAct(in_channels, out_channels, stride=stride, style=style)
        )
        self.act = style.activation()
        self.reset_gains()

    def reset_gains(self) -> None:
        """Set the weight of the branch's last batch norm to `BRANCH_SCALE`."""
        nn.init.constant_(self.expand.norm.weight, BRANCH_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        y = self.vertical(self.horizontal(self.squeeze2(self.squeeze1(x))))
        z: Tensor = self.act(self.drop_path(self.expand(y)) + self.shortcut(x))
        return z
