"""The augmentation of training photographs that a recipe names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import v2

from lightcars.augmentation.color_jitter import ColorJitter
from lightcars.augmentation.erasing import BatchErasing
from lightcars.data.pixels import as_image
from lightcars.errors import ConfigError
from lightcars.recipes.recipe import AugmentRecipe, Step


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A recipe's augmentation, ready to use.

    Attributes:
        photo: of each photograph.
        jitter: of a batch's colors; None leaves them.
        erasing: of a normalized batch, one after the other.
        mix: (N, C, H, W), (N,) labels -> the same, (N, classes) shares of the labels; None mixes nothing.
    """

    photo: ImageAugmentation
    jitter: ColorJitter | None
    erasing: tuple[BatchErasing, ...]
    mix: v2.Transform | None


def augmentation(recipe: AugmentRecipe, resolution: int, num_classes: int) -> Augmentation:
    """Builds the transforms that a recipe names.

    Raises:
        ConfigError: settings that torchvision's transform does not take.
    """
    photos, jitter = list(recipe.images), None
    if photos and "ColorJitter" in photos[-1]:
        settings = photos[-1]["ColorJitter"]
        if all(isinstance(value, int | float) for value in settings.values()):
            jitter = _made(ColorJitter, settings) if any(settings.values()) else None
            photos = photos[:-1]
    classes = {name: {"num_classes": num_classes} for name in ("MixUp", "CutMix")}
    erasing = tuple(BatchErasing(_transform(step, {})) for step in recipe.tensors)
    mixes = [_transform(step, classes) for step in recipe.batches]
    return Augmentation(
        photo=ImageAugmentation(photos, resolution),
        jitter=jitter,
        erasing=erasing,
        mix=v2.RandomChoice(mixes) if mixes else None,
    )


@final
class ImageAugmentation:
    """A recipe's changes of one photograph: PIL image -> PIL image, at the resolution or a smaller one.

    Smaller is what a `RandomResizedCrop` cuts; without one the photograph is scaled down before all else.
    """

    def __init__(self, steps: Sequence[Step], resolution: int) -> None:
        self.steps = tuple(steps)
        self.resolution = resolution
        self.crops = any("RandomResizedCrop" in step for step in steps)
        self._made = {resolution: self.at(resolution)}

    def __call__(self, image: Image.Image, resolution: int | None = None) -> Image.Image:
        side = resolution or self.resolution
        if side != self.resolution and not self.crops:
            image = scaled_down(image, side)
        if side not in self._made:
            self._made[side] = self.at(side)
        for step in self._made[side]:
            image = step(image)
        return image

    def at(self, side: int) -> tuple[v2.Transform, ...]:
        """The steps as torchvision's transforms, for that resolution."""
        sizes = {"RandomResizedCrop": {"size": [side, side]}}
        return tuple(_transform(step, sizes) for step in self.steps)


def scaled_down(image: Image.Image, resolution: int) -> Image.Image:
    """PIL image -> the same as a square; torch's kernel for bytes takes half of Pillow's time."""
    pixels = torch.from_numpy(np.atleast_3d(np.array(image))).permute(2, 0, 1)[None]
    size = (resolution, resolution)
    smaller = F.interpolate(pixels, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    return as_image(smaller.numpy())


def _transform(step: Step, defaults: Mapping[str, Mapping[str, Any]]) -> v2.Transform:
    ((name, settings),) = step.items()
    made: v2.Transform = _made(getattr(v2, name), {**defaults.get(name, {}), **settings})
    return made


def _made(kind: Callable[..., Any], settings: Mapping[str, Any]) -> Any:
    try:
        return kind(**settings)
    except (TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{kind.__name__} does not take {dict(settings)} ({reason}).") from error
