"""What the tests of exports share: a tiny classifier with odd class names, exported once to each format."""

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lightcars import Exported, Preprocessing, export, ghostnet
from lightcars.deploy.formats import FORMATS
from lightcars.models.image_model import ImageModel

CLASSES = ("Audi 'A4'", 'BMW "3" <touring>', "Škoda & Co\n", "Citroën, DS", "三菱")

FOLDERS = ("Audi A4", "BMW 3 touring", "Škoda Co", "Citroën-DS", "三菱")
"""As people write class names that have signs no file may have."""


def skip_without(name: str) -> None:
    """Skip a test if a package of an export format is not installed."""
    for package in FORMATS[name].packages:
        if importlib.util.find_spec(package.partition(".")[0]) is None:
            pytest.skip(f"{package} is not installed")


def settle(model: ImageModel) -> ImageModel:
    """In evaluation mode, with a batch's own statistics and batch norms that are not the identity's."""
    return settle_norms(model, model.config.img_channels)


def settle_norms(model: nn.Module, channels: int | None = None) -> nn.Module:
    """As `settle`, for any module."""
    channels = (
        channels or next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d)).in_channels
    )
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(4, channels, 64, 64))
    return model.eval()


@pytest.fixture(scope="session")
def classifier() -> ImageModel:
    torch.manual_seed(3)
    model = settle(ghostnet("thesis", num_classes=5, width=0.1, out_channels=16))
    model.classes, model.temperature = CLASSES, 0.6
    model.preprocessing = Preprocessing(
        resolution=48,
        mean=(0.47, 0.46, 0.45),
        std=(0.29, 0.28, 0.3),
        resize="crop",
        crop_fraction=0.875,
        interpolation="bicubic",
    )
    return model


@pytest.fixture
def photos(tmp_path):
    """Eight colored noises in a folder for each class."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(FOLDERS):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for count in range(8):
            pixels = generator.integers(0, 256, (60, 50 + number, 3)) * (number + 1) // 5
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{count}.png")
    return tmp_path / "photos"


@pytest.fixture(scope="session")
def exported(classifier, tmp_path_factory) -> Callable[[str], Exported]:
    """The classifier in a format; each is made once."""
    done: dict[str, Exported] = {}

    def get(name: str) -> Exported:
        skip_without(name)
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            path = folder / f"tiny{FORMATS[name].suffix}"
            done[name] = export(classifier, path, standalone=name == "onnx")
        return done[name]

    return get
