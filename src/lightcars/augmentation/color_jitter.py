"""Colors of a batch of images changed as torchvision's `v2.ColorJitter` does. No torchvision."""

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
"""Of images whose colors are changed at once: 2.4 MB, four photographs of 224 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorJitter:
    """torchvision's `v2.ColorJitter` for a whole batch at once, on its device.

    Every photograph has factors of its own, drawn from the same ranges; the order of the four changes is
    drawn once for the batch. On photographs one by one it would be most of what augmentation costs.

    Attributes:
        brightness, contrast, saturation: factors are drawn from 1 - value (at least 0) to 1 + value.
        hue: shifts are drawn from -hue to hue, in turns of the color circle; at most 0.5.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        if min(self.brightness, self.contrast, self.saturation, self.hue) < 0 or self.hue > 0.5:
            raise ValueError("values must be at least 0, hue at most 0.5")

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) of values in [0, 1] -> the same, changed. Grayscale keeps to the first two changes."""
        for change, values in self.draw(len(images), images.shape[1]):
            images = change(images, sent(values, images.device))
        return images

    def draw(self, number: int, img_channels: int) -> list[tuple[Change, Tensor]]:
        """The changes in their order, each with its (N, 1, 1, 1) values."""
        changes: list[tuple[Change, float, float]] = [
            (change_brightness, 1, self.brightness),
            (change_contrast, 1, self.contrast),
        ]
        if img_channels == 3:
            changes += [(change_saturation, 1, self.saturation), (change_hue, 0, self.hue)]
        drawn = []
        for position in torch.randperm(len(changes)).tolist():
            change, center, spread = changes[position]
            low = center - spread if center == 0 else max(0.0, center - spread)
            drawn.append((change, low + (center + spread - low) * torch.rand(number, 1, 1, 1)))
        return drawn


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
    for channel, center in enumerate((0, 2, 4)):
        distance = (hue + (3 - center)).remainder_(6).sub_(3).abs_()
        torch.addcmul(value, distance.sub_(1).clamp_(0, 1), chroma, value=-1, out=turned[:, channel])
    return turned


def _gray(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 1, H, W): luma of ITU-R BT.601, as Pillow and torchvision have it."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    gray: Tensor = (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    return gray


def jittered(pixels: Tensor, jitter: ColorJitter) -> Tensor:
    """(N, C, H, W) of uint8 -> the same in [0, 1], changed, in channels_last layout.

    A processor goes over a few photographs at a time, whose values stay in its cache: half the time.
    """
    drawn = jitter.draw(len(pixels), pixels.shape[1])
    images = torch.empty(
        pixels.shape, dtype=torch.float32, device=pixels.device, memory_format=torch.channels_last
    )
    on_cpu = pixels.device.type == "cpu"
    part = max(1, CACHED_VALUES // pixels[0].numel()) if on_cpu else len(pixels)
    for start in range(0, len(pixels), part):
        rows = slice(start, start + part)
        few = pixels[rows].to(dtype=torch.float32, memory_format=torch.contiguous_format).div_(255)
        for change, values in drawn:
            few = change(few, sent(values[rows], pixels.device))
        images[rows] = few
    return images
