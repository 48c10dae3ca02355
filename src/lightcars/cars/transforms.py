"""From photographs to tensors: sizes, augmentation, normalisation."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from lightcars.weights.preprocessing import Preprocessing

_INTERPOLATIONS = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def fit_square(preprocessing: Preprocessing) -> v2.Transform:
    """PIL image of any size -> PIL image of resolution x resolution."""
    side = preprocessing.resolution
    interpolation = _INTERPOLATIONS[preprocessing.interpolation]
    if preprocessing.resize == "squash":
        return v2.Resize((side, side), interpolation=interpolation)
    shorter = round(side / preprocessing.crop_fraction)
    return v2.Compose([v2.Resize(shorter, interpolation=interpolation), v2.CenterCrop(side)])


def augmentation() -> v2.Transform:
    """PIL image -> PIL image of the same size, changed at random as in the GhostNet thesis.

    Source: section 3.3 of the thesis and experiment C-50.
    """
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(p=0.5),
            v2.RandomAffine(degrees=25, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=8),
            v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1),
        ]
    )


def to_pixels(image: Image.Image) -> Tensor:
    """PIL image -> (C, H, W) of uint8."""
    pixels: Tensor = v2.functional.pil_to_tensor(image)
    return pixels


def normalize(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(N, C, H, W) of uint8 -> the same of float32, in channels_last layout, with the mean at 0."""
    shape: dict[str, Any] = {"dtype": torch.float32, "device": pixels.device}
    mean = torch.tensor(preprocessing.mean, **shape).view(1, -1, 1, 1)
    std = torch.tensor(preprocessing.std, **shape).view(1, -1, 1, 1)
    floats = pixels.to(dtype=torch.float32, memory_format=torch.channels_last)
    return floats.sub_(mean * 255).div_(std * 255)
