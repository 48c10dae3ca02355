"""Global average pooling."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from lightcars.layers.gradients import spatial_mean


@final
class GlobalAveragePool(nn.Module):
    """Average each channel. (N, C, H, W) -> (N, C), or (N, C, 1, 1) with `keepdim`.

    Args:
        keepdim: for a convolution behind it.
    """

    def __init__(self, *, keepdim: bool = False) -> None:
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x: Tensor) -> Tensor:
        return spatial_mean(x, keepdim=self.keepdim)

    def extra_repr(self) -> str:
        return f"keepdim={self.keepdim}"
