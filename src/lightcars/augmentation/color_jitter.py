"""Batched color jitter, equivalent to torchvision's `v2.ColorJitter`. No torchvision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from lightcars.models.device import sent

Change: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(N, C, H, W) images and (N, 1, 1, 1) values -> the images, changed."""
CACHED_VALUES = 600_000
"""Number of values that are changed at once: 2.4 MB, four images of 224 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorJitter:
    """Batched `v2.ColorJitter` of torchvision, on the device of the images.

    Each image has its own factors, sampled from the same ranges as torchvision's; the order of the four
    operations is sampled once per batch. Image by image it would be the largest cost of augmentation.

    Attributes:
        brightness, contrast, saturation: factors are sampled from [max(0, 1 - value), 1 + value].
        hue: shifts are sampled from [-hue, hue], in turns of the color circle; at most 0.5.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        if min(self.brightness, self.contrast, self.saturation, self.hue) < 0 or self.hue > 0.5:
            raise ValueError("values must be at least 0, hue at most 0.5")

    def __call__(self, images: Tensor) -> Tensor:
        """Change (N, C, H, W) images in [0, 1]. Grayscale images get brightness and contrast only."""
        for change, values in self.draw(len(images), images.shape[1]):
            images = change(images, sent(values, images.device))
        return images

    def draw(self, number: int, img_channels: int) -> list[tuple[Change, Tensor]]:
        """Sample the operations in their order, each with its (N, 1, 1, 1) values."""
        changes: list[tuple[Change, float, float]] = [
            (change_brightness, 1, self.brightness),
            (change_contrast, 1, self.contrast),
        ]
        if img_channels == 3:
            changes += [(change_saturation, 1, self.saturation), (change_hue, 0, self.hue)]
        sampled = []
        for position in torch.randperm(len(changes)).tolist():
            change, center, spread = changes[position]
            low = center - spread if center == 0 else max(0.0, center - spread)
            sampled.append((change, low + (center + spread - low) * torch.rand(number, 1, 1, 1)))
        return sampled


def change_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply (N, C, H, W) images in [0, 1] by (N, 1, 1, 1) factors."""
    return (images * factors).clamp_(0, 1)


def change_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Blend (N, C, H, W) images in [0, 1] with their mean gray by (N, 1, 1, 1) factors."""
    mean = _gray(images).mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, factors).clamp_(0, 1)


def change_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Blend (N, 3, H, W) images in [0, 1] with their gray versions by (N, 1, 1, 1) factors."""
    return torch.lerp(_gray(images), images, factors).clamp_(0, 1)


def change_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Shift the hues of (N, 3, H, W) images in [0, 1] by (N, 1, 1, 1) turns, keeping saturation and value."""
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    divisor = chroma.clamp(min=1e-12)
    of_green = torch.add(blue - red, divisor, alpha=2)
    of_blue = torch.add(red - green, divisor, alpha=4)
    hue = torch.where(value == red, green - blue, torch.where(value == green, of_green, of_blue))
    hue = hue.div_(divisor).add_(6 * turns[:, 0])  # in sixths of a turn
    turned = torch.empty_like(images)
    for channel, center in enumerate((0, 2, 4)):
        distance = (hue + (3 - center)).remainder_(6).sub_(3).abs_()
        torch.addcmul(value, distance.sub_(1).clamp_(0, 1), chroma, value=-1, out=turned[:, channel])
    return turned


def _gray(images: Tensor) -> Tensor:
    """Return (N, 1, H, W): the luma of ITU-R BT.601, as in Pillow and torchvision."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    gray: Tensor = (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    return gray


def jittered(pixels: Tensor, jitter: ColorJitter) -> Tensor:
    """Apply color jitter to (N, C, H, W) of uint8; the result is in [0, 1], in channels_last layout.

    The CPU works on a few images at a time, which stay in its cache: half the time.
    """
    operations = jitter.draw(len(pixels), pixels.shape[1])
    images = torch.empty(
        pixels.shape, dtype=torch.float32, device=pixels.device, memory_format=torch.channels_last
    )
    on_cpu = pixels.device.type == "cpu"
    part = max(1, CACHED_VALUES // pixels[0].numel()) if on_cpu else len(pixels)
    for start in range(0, len(pixels), part):
        rows = slice(start, start + part)
        few = pixels[rows].to(dtype=torch.float32, memory_format=torch.contiguous_format).div_(255)
        for change, values in operations:
            few = change(few, sent(values[rows], pixels.device))
        images[rows] = few
    return images
