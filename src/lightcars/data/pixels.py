"""Conversion between images, pixels and normalized tensors. No torchvision."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lightcars.models.device import sent
from lightcars.models.preprocessing import Preprocessing


def as_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """Convert (H, W, C) to a PIL image, grayscale if C is 1."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels)


def to_pixels(image: Image.Image) -> Tensor:
    """Convert a PIL image to (C, H, W) of uint8."""
    return torch.from_numpy(np.atleast_3d(np.array(image))).permute(2, 0, 1)


def normalize(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Normalize (N, C, H, W) of uint8, or of floats in [0, 1], to float32 in channels_last layout.

    Floating-point input is changed in place.
    """
    values = torch.tensor([preprocessing.mean, preprocessing.std]).view(2, 1, -1, 1, 1)
    mean, std = sent(values, pixels.device)
    if pixels.is_floating_point():
        return pixels.sub_(mean).div_(std)
    floats = pixels.to(dtype=torch.float32, memory_format=torch.channels_last)
    return floats.sub_(mean * 255).div_(std * 255)
