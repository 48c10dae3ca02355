"""A tiny checkpoint with an OOD detector, and small images."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from lightcars import ghostnet, save
from lightcars.models.familiarity import fit_familiarity, pooled
from lightcars.models.preprocessing import Preprocessing
from tests.training.tiny_settings import TINY_MODEL

CLASSES = ("=cmd", "Audi A4", "BMW M3", "Fiat 500")
"""The first one would be a formula in a spreadsheet."""


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A checkpoint folder: random weights, four classes, a detector fitted to noise."""
    torch.manual_seed(0)
    model = ghostnet(num_classes=4, **TINY_MODEL).eval()
    images = torch.randn(64, 3, 32, 32)
    with torch.no_grad():
        features = pooled(model.features(images))
    model.familiarity = fit_familiarity(features[:48], torch.arange(48) % 4, features[48:])
    return save(
        model,
        tmp_path_factory.mktemp("checkpoint") / "tiny",
        classes=CLASSES,
        preprocessing=Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.25,) * 3),
    )


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """A folder with 23 images in three folders, two of which cannot be read, and a text."""
    folder = tmp_path_factory.mktemp("photos")
    for position in range(21):
        inner = folder / ("", "a", "b/c")[position % 3]
        inner.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((20 + position, 30), 90).convert("RGB").save(inner / f"{position:02d}.png")
    (folder / "a" / "bad.jpg").write_bytes(b"not an image")
    (folder / "empty.png").write_bytes(b"")
    (folder / "readme.txt").write_text("no image")
    return folder
