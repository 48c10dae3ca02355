"""The augmentation of training images that a recipe describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import v2

from lightcars.augmentation.blur import GaussianBlur
from lightcars.augmentation.color_jitter import ColorJitter
from lightcars.augmentation.erasing import BatchErasing
from lightcars.data.pixels import as_image
from lightcars.errors import ConfigError
from lightcars.recipes.recipe import AugmentRecipe, Step


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A recipe's augmentation, ready to use.

    Attributes:
        image: transforms of each image.
        jitter: color jitter of a batch; None: no color jitter.
        tensors: transforms of a normalized batch, in order.
        mix: (N, C, H, W) and (N,) labels -> the mixed images and (N, classes) soft labels; None: no mixing.
    """

    image: ImageAugmentation
    jitter: ColorJitter | None
    tensors: tuple[BatchErasing | GaussianBlur, ...]
    mix: v2.Transform | None


def augmentation(recipe: AugmentRecipe, resolution: int, num_classes: int) -> Augmentation:
    """Build the transforms of a recipe.

    Raises:
        ConfigError: torchvision's transform does not accept the settings.
    """
    steps, jitter = list(recipe.images), None
    if steps and "ColorJitter" in steps[-1]:
        settings = steps[-1]["ColorJitter"]
        if all(isinstance(value, int | float) for value in settings.values()):
            jitter = _build(ColorJitter, settings) if any(settings.values()) else None
            steps = steps[:-1]
    classes = {name: {"num_classes": num_classes} for name in ("MixUp", "CutMix")}
    mixes = [_transform(step, classes) for step in recipe.batches]
    return Augmentation(
        image=ImageAugmentation(steps, resolution),
        jitter=jitter,
        tensors=tuple(_of_batches(step) for step in recipe.tensors),
        mix=v2.RandomChoice(mixes) if mixes else None,
    )


@final
class ImageAugmentation:
    """A recipe's transforms of one image: PIL image -> PIL image, at the resolution or a smaller one.

    A smaller resolution is the output size of `RandomResizedCrop`; without one the image is resized first.
    """

    def __init__(self, steps: Sequence[Step], resolution: int) -> None:
        self.steps = tuple(steps)
        self.resolution = resolution
        self.crops = any("RandomResizedCrop" in step for step in steps)
        self._transforms = {resolution: self.at(resolution)}

    def __call__(self, image: Image.Image, resolution: int | None = None) -> Image.Image:
        side = resolution or self.resolution
        if side != self.resolution and not self.crops:
            image = scaled_down(image, side)
        if side not in self._transforms:
            self._transforms[side] = self.at(side)
        for step in self._transforms[side]:
            image = step(image)
        return image

    def at(self, side: int) -> tuple[v2.Transform, ...]:
        """Return the steps as torchvision transforms for a resolution."""
        sizes = {"RandomResizedCrop": {"size": [side, side]}}
        return tuple(_transform(step, sizes) for step in self.steps)


def scaled_down(image: Image.Image, resolution: int) -> Image.Image:
    """Resize a PIL image to a square; torch's uint8 kernel takes half of Pillow's time."""
    pixels = torch.from_numpy(np.atleast_3d(np.array(image))).permute(2, 0, 1)[None]
    size = (resolution, resolution)
    smaller = F.interpolate(pixels, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    return as_image(smaller.numpy())


def _of_batches(step: Step) -> BatchErasing | GaussianBlur:
    if "GaussianBlur" in step:
        blur: GaussianBlur = _build(GaussianBlur, step["GaussianBlur"])
        return blur
    return BatchErasing(_transform(step, {}))


def _transform(step: Step, defaults: Mapping[str, Mapping[str, Any]]) -> v2.Transform:
    ((name, settings),) = step.items()
    transform: v2.Transform = _build(getattr(v2, name), {**defaults.get(name, {}), **settings})
    return transform


def _build(kind: Callable[..., Any], settings: Mapping[str, Any]) -> Any:
    try:
        return kind(**settings)
    except (TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{kind.__name__} does not take {dict(settings)} ({reason}).") from error
