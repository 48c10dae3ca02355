"""Save and load a model's `Familiarity` beside its weights."""

from __future__ import annotations

from pathlib import Path

import torch

from lightcars.errors import CheckpointError
from lightcars.models.familiarity import Familiarity
from lightcars.weights.hub import FAMILIARITY_FILE
from lightcars.weights.tensors import read_tensors, write_tensors

CENTERS = "centres"
"""Key of `Familiarity.centers` in the file."""


def save_familiarity(familiarity: Familiarity | None, folder: Path) -> None:
    """Write the file, or remove the one of another model."""
    path = folder / FAMILIARITY_FILE
    if familiarity is None:
        path.unlink(missing_ok=True)
        return
    parts = {
        "mean": familiarity.mean,
        "directions": familiarity.directions,
        CENTERS: familiarity.centers,
        "limit": torch.tensor(familiarity.limit),
    }
    write_tensors(path, parts)


def load_familiarity(folder: Path, device: torch.device, num_features: int) -> Familiarity:
    """Read the file in `folder`.

    Raises:
        CheckpointError: it is missing or corrupt, or of a model with another number of features.
    """
    path = folder / FAMILIARITY_FILE
    tensors = read_tensors(path, device)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    classes, directions = (*shapes.get(CENTERS, ()), 0, 0)[:2]
    wanted = {
        "mean": (num_features,),
        "directions": (num_features, directions),
        CENTERS: (classes, directions),
        "limit": (),
    }
    if shapes != wanted or not classes * directions:
        raise CheckpointError(f"{path} does not fit the model beside it ({shapes}); copy it again.")
    broken = [name for name, tensor in tensors.items() if not _holds_numbers(tensor)]
    if broken:
        raise CheckpointError(f"{path} has no numbers as {', '.join(broken)}; copy it again.")
    limit = tensors.pop("limit").item()
    if limit < 0:
        raise CheckpointError(f"{path} has a limit below zero ({limit}); copy it again.")
    return Familiarity(centers=tensors.pop(CENTERS), **tensors, limit=limit)


def _holds_numbers(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and bool(tensor.isfinite().all())
