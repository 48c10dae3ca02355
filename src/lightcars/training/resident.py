"""Images in the memory of the training device, and whether they should be there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightcars.augmentation.batch import in_batches
from lightcars.data.dataset import DecodedImages, Draw
from lightcars.errors import DeviceError
from lightcars.models.device import sent
from lightcars.recipes.recipe import AUTO, Recipe, Step
from lightcars.training.speed import device_of

DEVICE_SHARE = 0.3
"""Part of the device's memory that images may take unless they are asked to be there; training needs the
rest."""


class Draws(NamedTuple):
    """Images of a batch: (N,) positions, (N,) seeds of their augmentation, and their resolution."""

    positions: Tensor
    seeds: Tensor
    resolution: int | None


@final
class DrawnOnly(Dataset[Draw]):
    """Data set of the draws themselves, for images that are on the device already."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, draw: Draw) -> Draw:
        return draw


def together(draws: Sequence[Draw]) -> Draws:
    """Collate draws into one batch; they have the same resolution, and a seed each."""
    positions = torch.tensor([draw.position for draw in draws])
    return Draws(positions, torch.tensor([draw.seed for draw in draws]), draws[0].resolution)


@final
class DeviceImages:
    """Decoded images and their labels on a device; on the CPU they are not copied.

    Raises:
        DeviceError: the device does not have enough memory.
    """

    def __init__(self, images: DecodedImages, device: torch.device) -> None:
        try:
            self._pixels = torch.from_numpy(images.pixels).to(device)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"the images ({_as_text(images.pixels.nbytes)}) do not fit into the memory of {device};"
                " set images_on_device to false, or lower the resolution."
            ) from error
        self._labels = torch.from_numpy(images.labels).to(device)

    def take(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) positions -> (N, C, H, W) of uint8, a copy, and (N,) labels."""
        positions = sent(positions, self._labels.device)
        return self._pixels[positions].permute(0, 3, 1, 2), self._labels[positions]


def place(recipe: Recipe, steps: Sequence[Step], size_bytes: int) -> tuple[Recipe, str]:
    """Return the recipe with `images_on_device` decided, and a line that says where images are and why.

    The decision depends on what the machine has, not on what is free at the moment, so that all processes of
    a run, and the next run, decide alike.

    Args:
        recipe: of the run.
        steps: of its augmentation that are applied to each image.
        size_bytes: of all decoded images.
    """
    device = device_of(recipe)
    single = [name for step in steps for name in step if not in_batches(step)]
    reason = _reason_against(device, single, size_bytes) if recipe.images_on_device == AUTO else None
    chosen = reason is None if recipe.images_on_device == AUTO else bool(recipe.images_on_device)
    if chosen:
        how = f"in batches, {', '.join(single)} one by one" if single else "in batches"
        line = f"images: {_as_text(size_bytes)} in the memory of {device}, augmented there {how}"
    else:
        line = f"images: augmented by the CPU, one by one{f' ({reason})' if reason else ''}"
    return replace(recipe, images_on_device=chosen), line


def _reason_against(device: torch.device, single: Sequence[str], size_bytes: int) -> str | None:
    """Return why images should not be on the device; None if they should."""
    if device.type != "cuda":
        return "there is no CUDA device" if device.type == "cpu" else f"not supported on {device.type}"
    if single:
        return f"{', '.join(single)} cannot be done in batches"
    total = torch.cuda.get_device_properties(device).total_memory
    if size_bytes > DEVICE_SHARE * total:
        return f"{_as_text(size_bytes)} are too much for {_as_text(total)} of memory"
    return None


def _as_text(size_bytes: int) -> str:
    large = size_bytes >= 2**30
    return f"{size_bytes / 2**30:.1f} GiB" if large else f"{size_bytes / 2**20:.1f} MiB"
