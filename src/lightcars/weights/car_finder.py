"""The shipped car finder: the ImageNet weights of EfficientNet-Lite0 that ship too, and a head of its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from lightcars.errors import CheckpointError
from lightcars.models.car_finder import CarFinder
from lightcars.weights.catalog import IMAGENET_TAG, find_tag
from lightcars.weights.pretrained import load_pretrained
from lightcars.weights.tensors import read_tensors, write_tensors

HEAD_FILE = Path(__file__).with_name("car_finder.safetensors")
"""From `scripts/train_car_finder.py`."""
RESOLUTION = 192


def new_car_finder(device: torch.device, resolution: int = RESOLUTION) -> CarFinder:
    """Return a finder whose head is randomly initialized, in evaluation mode."""
    entry = find_tag(IMAGENET_TAG)
    assert entry is not None
    model = load_pretrained(entry.model, entry.tag, {}, device=device, dtype=torch.float32)
    return CarFinder(model, resolution).to(device).to(memory_format=torch.channels_last).eval()


def load_car_finder(device: torch.device) -> CarFinder:
    """Return the shipped finder, in evaluation mode.

    Raises:
        CheckpointError: its file is corrupt.
    """
    finder = new_car_finder(device)
    tensors = read_tensors(HEAD_FILE, device)
    try:
        finder.head.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{HEAD_FILE} does not fit the car finder; install lightcars again.") from error
    return finder


def save_head(finder: CarFinder, path: Path) -> None:
    """Write the head in half precision."""
    tensors = finder.head.state_dict()
    write_tensors(path, {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()})


def finder_digest() -> str:
    """Return a digest of the shipped head, for jobs that go on with the same finder."""
    return hashlib.sha256(HEAD_FILE.read_bytes()).hexdigest()[:16]
