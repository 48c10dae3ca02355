"""Batched `RandomErasing` of torchvision, on the device of the images."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torchvision.transforms import v2

from lightcars.augmentation.resampling import BOX_CHANCES, random_boxes
from lightcars.errors import ConfigError
from lightcars.models.device import sent


@final
class BatchErasing:
    """Erases a box of its own in each image, sampled as in torchvision, or none."""

    def __init__(self, transform: v2.RandomErasing) -> None:
        self._transform = transform

    def __call__(self, images: Tensor) -> Tensor:
        """Erase boxes in (N, C, H, W), sampled from torch's generator on the CPU."""
        transform, (number, channels, height, width) = self._transform, images.shape
        if transform.value is not None and len(transform.value) not in (1, channels):
            raise ConfigError(
                f"RandomErasing: value must be one number or {channels}, one for each channel,"
                f" not {transform.value}."
            )
        chances = torch.rand(number, 1 + BOX_CHANCES, dtype=torch.float64)
        boxes, fits = random_boxes(
            chances[:, 1:], (height, width), transform.scale, transform.ratio, tall=True
        )
        boxes = boxes * (fits & (chances[:, 0] < transform.p))[:, None]  # height 0 where nothing is erased
        top, left, h, w = sent(boxes.float(), images.device)[..., None].unbind(1)
        y, x = (torch.arange(size, device=images.device) for size in (height, width))
        rows, columns = (y >= top) & (y < top + h), (x >= left) & (x < left + w)
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        return torch.where(inside, self._filling(images), images)

    def _filling(self, images: Tensor) -> Tensor:
        if self._transform.value is None:
            return torch.randn_like(images)
        value = torch.tensor(self._transform.value).view(1, -1, 1, 1)
        return sent(value, images.device).to(images.dtype)
