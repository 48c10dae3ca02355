"""A recipe's changes of photographs for a whole batch at once, on the device where the photographs are.

What is random about a photograph comes from its own seed, as a row of numbers in [0, 1) that the processor
draws: so it is the same in whatever batch, and nobody waits for the device. The distributions are those of
torchvision's `v2`; pixels differ by rounding, and by what Pillow does otherwise than torchvision on tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, final

import torch
from torch import Tensor
from torchvision.transforms import v2

from lightcars.augmentation.photo import ImageAugmentation
from lightcars.augmentation.resampling import (
    BOX_CHANCES,
    affine_matrix,
    drawn_boxes,
    largest_box,
    resampled,
    warped,
)
from lightcars.augmentation.trivial_augment import BatchTrivialAugment
from lightcars.data.dataset import random_state
from lightcars.models.device import sent
from lightcars.recipes.recipe import Step


class BatchStep(Protocol):
    """One change. `chances`: how many random numbers it takes for each photograph."""

    @property
    def chances(self) -> int: ...

    def __call__(self, pixels: Tensor, chances: Tensor) -> Tensor:
        """(N, C, H, W) of uint8 -> the same, changed; chances: (N, `chances`) on the processor."""
        ...


@final
class BatchAugmentation:
    """What `ImageAugmentation` does to photographs one by one, for batches of them.

    Attributes:
        one_by_one: names of the steps that have no form for batches: each photograph has its turn.
    """

    def __init__(self, photo: ImageAugmentation) -> None:
        self._photo = photo
        self._made: dict[int, tuple[BatchStep, ...]] = {}
        self.one_by_one = tuple(name for step in photo.steps for name in step if not in_batches(step))

    def __call__(self, pixels: Tensor, seeds: Tensor, resolution: int | None = None) -> Tensor:
        """(N, C, H, W) of uint8 on any device, (N,) seeds on the processor -> the batch at the resolution."""
        side = resolution or self._photo.resolution
        if side not in self._made:
            self._made[side] = self._at(side)
        if side != self._photo.resolution and not self._photo.crops:
            whole = torch.tensor([[0, 0, *pixels.shape[2:]]]).expand(len(pixels), 4)
            pixels = resampled(pixels, sent(whole, pixels.device), side)
        steps = self._made[side]
        parts = drawn(seeds, sum(step.chances for step in steps)).split([step.chances for step in steps], 1)
        for step, chances in zip(steps, parts, strict=True):
            pixels = step(pixels, chances)
        return pixels

    def _at(self, side: int) -> tuple[BatchStep, ...]:
        made = zip(self._photo.steps, self._photo.at(side), strict=True)
        return tuple(_FORMS[type(one)][1](one) if in_batches(step) else OneByOne(one) for step, one in made)


def in_batches(step: Step) -> bool:
    """Whether a step, with its settings, has a form for batches."""
    ((name, settings),) = step.items()
    known = next((keys for kind, (keys, _) in _FORMS.items() if kind.__name__ == name), None)
    return known is not None and set(settings) <= set(known)


def drawn(seeds: Tensor, number: int) -> Tensor:
    """(N,) seeds -> (N, number) in [0, 1), each row from its own seed."""
    generator = torch.Generator()
    rows = [
        torch.rand(number, generator=generator.manual_seed(seed), dtype=torch.float64)
        for seed in seeds.tolist()
    ]
    return torch.stack(rows)


@final
class Flip:
    """torchvision's `RandomHorizontalFlip`."""

    chances = 1

    def __init__(self, made: v2.RandomHorizontalFlip) -> None:
        self._share = made.p

    def __call__(self, pixels: Tensor, chances: Tensor) -> Tensor:
        flipped = sent(chances < self._share, pixels.device)
        return torch.where(flipped[:, :, None, None], pixels.flip(3), pixels)


@final
class Crop:
    """torchvision's `RandomResizedCrop`: its boxes, bilinear and antialiased."""

    chances = BOX_CHANCES

    def __init__(self, made: v2.RandomResizedCrop) -> None:
        self._made = made

    def __call__(self, pixels: Tensor, chances: Tensor) -> Tensor:
        size = (pixels.shape[2], pixels.shape[3])
        boxes, fits = drawn_boxes(chances, size, self._made.scale, self._made.ratio)
        boxes = torch.where(fits[:, None], boxes, largest_box(size, self._made.ratio))
        return resampled(pixels, sent(boxes.float(), pixels.device), self._made.size[0])


@final
class Affine:
    """torchvision's `RandomAffine`, the nearest pixel taken, black from outside."""

    chances = 6

    def __init__(self, made: v2.RandomAffine) -> None:
        self._made = made

    def __call__(self, pixels: Tensor, chances: Tensor) -> Tensor:
        size = (pixels.shape[2], pixels.shape[3])
        matrices = torch.tensor([self.matrix(row, size) for row in chances.tolist()])
        return warped(pixels, sent(matrices, pixels.device))

    def matrix(self, chances: Sequence[float], size: tuple[int, int]) -> list[float]:
        """Of one image of that height and width, from six numbers in [0, 1)."""
        turn, right, down, zoom, *slants = chances
        made, (height, width) = self._made, size
        across, along = made.translate or (0, 0)
        shear = (*(made.shear or (0, 0)), 0, 0)[:4]
        return affine_matrix(
            _between(turn, *made.degrees),
            (
                round(_between(right, -across * width, across * width)),
                round(_between(down, -along * height, along * height)),
            ),
            _between(zoom, *(made.scale or (1, 1))),
            (_between(slants[0], *shear[:2]), _between(slants[1], *shear[2:])),
        )


def _rotation(made: v2.RandomRotation) -> Affine:
    """torchvision's `RandomRotation`, whose angles go the other way round."""
    low, high = made.degrees
    return Affine(v2.RandomAffine([-high, -low]))


@final
class OneByOne:
    """Any other transform of torchvision's, photograph by photograph."""

    chances = 1

    def __init__(self, made: v2.Transform) -> None:
        self._made = made

    def __call__(self, pixels: Tensor, chances: Tensor) -> Tensor:
        changed = []
        for image, chance in zip(pixels, chances[:, 0].tolist(), strict=True):
            with random_state(int(chance * 2**53)):
                changed.append(self._made(image))
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
"""Transforms with a form for batches, the settings that it knows, and the form."""
