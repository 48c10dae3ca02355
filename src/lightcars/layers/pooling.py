"""Global average pooling, and max pooling that rounds up."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from lightcars.compatibility import is_exporting
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


@final
class CeilMaxPool(nn.Module):
    """`nn.MaxPool2d` without padding and with `ceil_mode`, of a map without negative values (after a ReLU).

    (N, C, H, W) -> (N, C, h, w), h = ceil((H - kernel_size) / stride) + 1. torch.export cannot reason about
    the size that `ceil_mode` gives; an exported program pads the map with zeros instead.

    Args:
        kernel_size: side of the square window, at least `stride`.
        stride: of the windows.
    """

    def __init__(self, kernel_size: int, *, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Tensor) -> Tensor:
        if is_exporting():
            x = F.pad(x, (0, self.stride - 1, 0, self.stride - 1))
            return F.max_pool2d(x, self.kernel_size, self.stride)
        return F.max_pool2d(x, self.kernel_size, self.stride, ceil_mode=True)

    def extra_repr(self) -> str:
        return f"{self.kernel_size}, stride={self.stride}"
