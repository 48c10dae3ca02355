"""torchvision's `RandomErasing` for a whole batch at once, on its device."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torchvision.transforms import v2

from lightcars.augmentation.resampling import BOX_CHANCES, drawn_boxes
from lightcars.errors import ConfigError
from lightcars.models.device import sent


@final
class BatchErasing:
    """Each image has a box of its own, drawn as torchvision draws it, or none."""

    def __init__(self, made: v2.RandomErasing) -> None:
        self._made = made

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> the same with boxes erased, drawn from torch's generator on the processor."""
        made, (number, channels, height, width) = self._made, images.shape
        if made.value is not None and len(made.value) not in (1, channels):
            raise ConfigError(
                f"RandomErasing: value must be one number or {channels}, one for each channel,"
                f" not {made.value}."
            )
        chances = torch.rand(number, 1 + BOX_CHANCES, dtype=torch.float64)
        boxes, fits = drawn_boxes(chances[:, 1:], (height, width), made.scale, made.ratio, tall=True)
        boxes = boxes * (fits & (chances[:, 0] < made.p))[:, None]  # of no height where nothing is erased
        top, left, h, w = sent(boxes.float(), images.device)[..., None].unbind(1)
        y, x = (torch.arange(size, device=images.device) for size in (height, width))
        rows, columns = (y >= top) & (y < top + h), (x >= left) & (x < left + w)
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        return torch.where(inside, self._filling(images), images)

    def _filling(self, images: Tensor) -> Tensor:
        if self._made.value is None:
            return torch.randn_like(images)
        value = torch.tensor(self._made.value).view(1, -1, 1, 1)
        return sent(value, images.device).to(images.dtype)
