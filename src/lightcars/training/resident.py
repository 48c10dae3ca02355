"""Photographs in the memory of the device that trains, and whether they should be there."""

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
"""Part of the device's free memory that photographs may take where nobody asked for it; training needs the
rest."""


class Draws(NamedTuple):
    """Photographs of a batch: (N,) positions, (N,) seeds of their augmentation, the size that they get."""

    positions: Tensor
    seeds: Tensor
    resolution: int | None


@final
class DrawnOnly(Dataset[Draw]):
    """What the loader gives where the photographs are on the device already: the draws themselves."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, draw: Draw) -> Draw:
        return draw


def together(draws: Sequence[Draw]) -> Draws:
    """Draws as one batch; they have the same size, and a seed each."""
    positions = torch.tensor([draw.position for draw in draws])
    return Draws(positions, torch.tensor([draw.seed for draw in draws]), draws[0].resolution)


@final
class DeviceImages:
    """Decoded photographs and their labels on a device; on the processor they are not copied.

    Raises:
        DeviceError: the device has not enough memory.
    """

    def __init__(self, photos: DecodedImages, device: torch.device) -> None:
        try:
            self._pixels = torch.from_numpy(photos.pixels).to(device)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"the photographs ({_said(photos.pixels.nbytes)}) do not fit into the memory of {device};"
                " set images_on_device to false, or lower the resolution."
            ) from error
        self._labels = torch.from_numpy(photos.labels).to(device)

    def take(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) positions -> (N, C, H, W) of uint8, a copy, and (N,) labels."""
        positions = sent(positions, self._labels.device)
        return self._pixels[positions].permute(0, 3, 1, 2), self._labels[positions]


def place(recipe: Recipe, steps: Sequence[Step], size_bytes: int) -> tuple[Recipe, str]:
    """The recipe with `images_on_device` settled, and a line that says where photographs are and why.

    Args:
        recipe: of the run.
        steps: of its augmentation that are done to each photograph.
        size_bytes: of all decoded photographs.
    """
    device = device_of(recipe)
    alone = [name for step in steps for name in step if not in_batches(step)]
    against = _against(device, alone, size_bytes) if recipe.images_on_device == AUTO else None
    chosen = against is None if recipe.images_on_device == AUTO else bool(recipe.images_on_device)
    if chosen:
        how = f"in batches, {', '.join(alone)} one by one" if alone else "in batches"
        line = f"photographs: {_said(size_bytes)} in the memory of {device}, augmented there {how}"
    else:
        line = f"photographs: augmented by the processor, one by one{f' ({against})' if against else ''}"
    return replace(recipe, images_on_device=chosen), line


def _against(device: torch.device, alone: Sequence[str], size_bytes: int) -> str | None:
    """Why photographs should not be on the device; None if they should."""
    if device.type != "cuda":
        return "there is no CUDA device" if device.type == "cpu" else f"not tried on {device.type}"
    if alone:
        return f"{', '.join(alone)} cannot be done in batches"
    free, _ = torch.cuda.mem_get_info(device)
    if size_bytes > DEVICE_SHARE * free:
        return f"{_said(size_bytes)} are too much for {_said(free)} of free memory"
    return None


def _said(size_bytes: int) -> str:
    large = size_bytes >= 2**30
    return f"{size_bytes / 2**30:.1f} GiB" if large else f"{size_bytes / 2**20:.1f} MiB"
