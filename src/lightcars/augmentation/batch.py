"""A recipe's transforms for a whole batch at once, on the device of the images.

The random parameters of an image come from its own seed, as a row of numbers in [0, 1) sampled on the CPU:
they do not depend on the batch, and need no synchronization with the device. The distributions are those of
torchvision's `v2`; pixels differ by rounding, and where Pillow and torchvision's tensor kernels differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, final

import torch
from torch import Tensor
from torchvision.transforms import v2

from lightcars.augmentation.image import ImageAugmentation
from lightcars.augmentation.resampling import (
    BOX_CHANCES,
    affine_matrix,
    largest_box,
    random_boxes,
    resampled,
    warped,
)
from lightcars.augmentation.trivial_augment import BatchTrivialAugment
from lightcars.data.dataset import random_state
from lightcars.models.device import sent
from lightcars.recipes.recipe import Step


class BatchStep(Protocol):
    """One transform. `chances`: how many random numbers it needs for each image."""

    @property
    def chances(self) -> int: ...

    def __call__(self, pixels: Tensor, chances: Tensor) -> Tensor:
        """Transform (N, C, H, W) of uint8; chances: (N, `chances`) on the CPU."""
        ...


@final
class BatchAugmentation:
    """The batched form of `ImageAugmentation`.

    Attributes:
        one_by_one: names of the steps without a batched form; they are applied image by image.
    """

    def __init__(self, augmentation: ImageAugmentation) -> None:
        self._augmentation = augmentation
        self._steps: dict[int, tuple[BatchStep, ...]] = {}
        self.one_by_one = tuple(name for step in augmentation.steps for name in step if not in_batches(step))

    def __call__(self, pixels: Tensor, seeds: Tensor, resolution: int | None = None) -> Tensor:
        """Transform (N, C, H, W) of uint8 on any device by (N,) seeds on the CPU, to the resolution."""
        side = resolution or self._augmentation.resolution
        if side not in self._steps:
            self._steps[side] = self._at(side)
        if side != self._augmentation.resolution and not self._augmentation.crops:
            whole = torch.tensor([[0, 0, *pixels.shape[2:]]]).expand(len(pixels), 4)
            pixels = resampled(pixels, sent(whole, pixels.device), side)
        steps = self._steps[side]
        parts = random_numbers(seeds, sum(step.chances for step in steps)).split(
            [step.chances for step in steps], 1
        )
        for step, chances in zip(steps, parts, strict=True):
            pixels = step(pixels, chances)
        return pixels

    def _at(self, side: int) -> tuple[BatchStep, ...]:
        pairs = zip(self._augmentation.steps, self._augmentation.at(side), strict=True)
        return tuple(_FORMS[type(one)][1](one) if in_batches(step) else OneByOne(one) for step, one in pairs)


def in_batches(step: Step) -> bool:
    """Return whether a step, with its settings, has a batched form."""
    ((name, settings),) = step.items()
    known = next((keys for kind, (keys, _) in _FORMS.items() if kind.__name__ == name), None)
    return known is not None and set(settings) <= set(known)


def random_numbers(seeds: Tensor, number: int) -> Tensor:
    """Sample (N, number) in [0, 1) from (N,) seeds, each row from its own seed."""
    generator = torch.Generator()
    rows = [
        torch.rand(number, generator=generator.manual_seed(seed), dtype=torch.float64)
        for seed in seeds.tolist()
    ]
    return torch.stack(rows)


@final
class Flip:
    """Batched `RandomHorizontalFlip` of torchvision."""

    chances = 1

    def __init__(self, transform: v2.RandomHorizontalFlip) -> None:
        self._share = transform.p

    def __call__(self, pixels: Tensor, chances: Tensor) -> Tensor:
        flipped = sent(chances < self._share, pixels.device)
        return torch.where(flipped[:, :, None, None], pixels.flip(3), pixels)


@final
class Crop:
    """Batched `RandomResizedCrop` of torchvision, bilinear and antialiased."""

    chances = BOX_CHANCES

    def __init__(self, transform: v2.RandomResizedCrop) -> None:
        self._transform = transform

    def __call__(self, pixels: Tensor, chances: Tensor) -> Tensor:
        size = (pixels.shape[2], pixels.shape[3])
        boxes, fits = random_boxes(chances, size, self._transform.scale, self._transform.ratio)
        boxes = torch.where(fits[:, None], boxes, largest_box(size, self._transform.ratio))
        return resampled(pixels, sent(boxes.float(), pixels.device), self._transform.size[0])


@final
class Affine:
    """Batched `RandomAffine` of torchvision, with nearest interpolation and black fill."""

    chances = 6

    def __init__(self, transform: v2.RandomAffine) -> None:
        self._transform = transform

    def __call__(self, pixels: Tensor, chances: Tensor) -> Tensor:
        size = (pixels.shape[2], pixels.shape[3])
        matrices = torch.tensor([self.matrix(row, size) for row in chances.tolist()])
        return warped(pixels, sent(matrices, pixels.device))

    def matrix(self, chances: Sequence[float], size: tuple[int, int]) -> list[float]:
        """Return the matrix of one image of this height and width, from six numbers in [0, 1)."""
        turn, right, down, zoom, *slants = chances
        transform, (height, width) = self._transform, size
        across, along = transform.translate or (0, 0)
        shear = (*(transform.shear or (0, 0)), 0, 0)[:4]
        return affine_matrix(
            _between(turn, *transform.degrees),
            (
                round(_between(right, -across * width, across * width)),
                round(_between(down, -along * height, along * height)),
            ),
            _between(zoom, *(transform.scale or (1, 1))),
            (_between(slants[0], *shear[:2]), _between(slants[1], *shear[2:])),
        )


def _rotation(transform: v2.RandomRotation) -> Affine:
    """Return the batched `RandomRotation` of torchvision, whose angles have the opposite sign."""
    low, high = transform.degrees
    return Affine(v2.RandomAffine([-high, -low]))


@final
class OneByOne:
    """Any other transform of torchvision, applied image by image."""

    chances = 1

    def __init__(self, transform: v2.Transform) -> None:
        self._transform = transform

    def __call__(self, pixels: Tensor, chances: Tensor) -> Tensor:
        changed = []
        for image, chance in zip(pixels, chances[:, 0].tolist(), strict=True):
            with random_state(int(chance * 2**53)):
                changed.append(self._transform(image))
        return torch.stack(changed)


def _between(chance: float, low: float, high: float) -> float:
    return low + (high - low) * chance


_FORMS: Mapping[type[Any], tuple[tuple[str, ...], Callable[[Any], BatchStep]]] = {
    v2.RandomHorizontalFlip: (("p",), Flip),
    v2.RandomResizedCrop: (("scale", "ratio"), Crop),
    v2.RandomAffine: (("degrees", "translate", "scale", "shear"), Affine),
    v2.RandomRotation: (("degrees",), _rotation),
    v2.TrivialAugmentWide: (("num_magnitude_bins",), BatchTrivialAugment),
}
"""Transforms with a batched form: the settings that it supports, and the form."""
