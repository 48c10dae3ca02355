"""From photographs to tensors: augmentation and normalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from lightcars.models.preprocessing import Preprocessing


def augmentation() -> v2.Transform:
    """PIL image -> PIL image of the same size, moved at random as in the GhostNet thesis.

    Source: section 3.3 of the thesis and experiment C-50, whose colour jitter is `ColorJitter`.
    """
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(p=0.5),
            v2.RandomAffine(degrees=25, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=8),
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorJitter:
    """torchvision's `v2.ColorJitter` for a whole batch at once, on its device.

    Every photograph has factors of its own, drawn from the same ranges; the order of the four changes is
    drawn once for the batch. On photographs one by one it would be most of what augmentation costs.
    The defaults are those of experiment C-50.

    Attributes:
        brightness, contrast, saturation: factors are drawn from 1 - value to 1 + value.
        hue: shifts are drawn from -hue to hue, in turns of the colour circle.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.1

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) of values in [0, 1] -> the same, changed. Grayscale keeps to the first two changes."""
        changes: list[tuple[Callable[[Tensor, Tensor], Tensor], float, float]] = [
            (change_brightness, 1, self.brightness),
            (change_contrast, 1, self.contrast),
        ]
        if images.shape[1] == 3:
            changes += [(change_saturation, 1, self.saturation), (change_hue, 0, self.hue)]
        for position in torch.randperm(len(changes)).tolist():
            change, centre, spread = changes[position]
            values = centre + spread * (2 * torch.rand(len(images), 1, 1, 1) - 1)
            images = change(images, values.to(images.device))
        return images


def change_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """(N, C, H, W) in [0, 1] and (N, 1, 1, 1) -> the images times their factors."""
    return (images * factors).clamp_(0, 1)


def change_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """(N, C, H, W) in [0, 1] and (N, 1, 1, 1) -> away from, or towards, each image's mean gray."""
    mean = _gray(images).mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, factors).clamp_(0, 1)


def change_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1] and (N, 1, 1, 1) -> away from, or towards, each pixel's gray."""
    return torch.lerp(_gray(images), images, factors).clamp_(0, 1)


def change_hue(images: Tensor, turns: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1] and (N, 1, 1, 1) -> hues turned; saturation and value are kept."""
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    divisor = chroma.clamp(min=1e-12)
    of_green = torch.add(blue - red, divisor, alpha=2)
    of_blue = torch.add(red - green, divisor, alpha=4)
    hue = torch.where(value == red, green - blue, torch.where(value == green, of_green, of_blue))
    hue = hue.div_(divisor).add_(6 * turns[:, 0])  # in sixths of a turn
    turned = torch.empty_like(images)
    for channel, centre in enumerate((0, 2, 4)):
        distance = (hue + (3 - centre)).remainder_(6).sub_(3).abs_()
        torch.addcmul(value, distance.sub_(1).clamp_(0, 1), chroma, value=-1, out=turned[:, channel])
    return turned


def _gray(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 1, H, W): luma of ITU-R BT.601, as Pillow and torchvision have it."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    gray: Tensor = (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    return gray


def to_pixels(image: Image.Image) -> Tensor:
    """PIL image -> (C, H, W) of uint8."""
    pixels: Tensor = v2.functional.pil_to_tensor(image)
    return pixels


def normalize(pixels: Tensor, preprocessing: Preprocessing, jitter: ColorJitter | None = None) -> Tensor:
    """(N, C, H, W) of uint8 -> the same of float32, in channels_last layout, with the mean at 0.

    `jitter` changes the colours before.
    """
    shape: dict[str, Any] = {"dtype": torch.float32, "device": pixels.device}
    mean = torch.tensor(preprocessing.mean, **shape).view(1, -1, 1, 1)
    std = torch.tensor(preprocessing.std, **shape).view(1, -1, 1, 1)
    if jitter is not None:
        images = jitter(pixels.to(dtype=torch.float32, memory_format=torch.contiguous_format).div_(255))
        return images.to(memory_format=torch.channels_last).sub_(mean).div_(std)
    floats = pixels.to(dtype=torch.float32, memory_format=torch.channels_last)
    return floats.sub_(mean * 255).div_(std * 255)
