"""The torchvision transform that belongs to weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from lightcars.errors import InputError
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.unwrapping import unwrap

if TYPE_CHECKING:
    from torchvision.transforms import v2

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def transforms_for(model: Any) -> v2.Transform:
    """PIL image -> the normalized (C, H, W) tensor that the model's weights expect.

    Size, crop, interpolation, mean and std are those of the weights: of the catalog or of the checkpoint's
    own `config.json`.

    Args:
        model: one with weights from `weights=` or `load`, or a `Preprocessing`.

    Raises:
        InputError: the model's weights came without preprocessing, or are fresh.

    >>> from lightcars.models.preprocessing import Preprocessing
    >>> from PIL import Image
    >>> transform = transforms_for(Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.5,) * 3))
    >>> transform(Image.new("RGB", (60, 40))).shape
    torch.Size([3, 32, 32])
    """
    preprocessing = preprocessing_of(model)
    from torchvision.transforms import InterpolationMode, v2

    channels = len(preprocessing.mean)
    side, scaled = preprocessing.resolution, preprocessing.shorter_side
    steps: list[Any] = [v2.Grayscale() if channels == 1 else v2.RGB()] if channels in (1, 3) else []
    return v2.Compose(
        [
            *steps,
            v2.Resize(
                [scaled, scaled] if preprocessing.resize == "squash" else scaled,
                interpolation=InterpolationMode(preprocessing.interpolation),
            ),
            v2.CenterCrop(side),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(preprocessing.mean), list(preprocessing.std)),
        ]
    )


def preprocessing_of(model: Any) -> Preprocessing:
    """That of a model's weights, or the one that is given.

    Raises:
        InputError: the model's weights came without preprocessing, or are fresh.
    """
    model = unwrap(model)
    preprocessing = model if isinstance(model, Preprocessing) else getattr(model, "preprocessing", None)
    if preprocessing is None:
        raise InputError(
            "the preprocessing of these weights is not known; set model.preprocessing to a"
            " lightcars.Preprocessing(resolution=..., mean=..., std=...)."
        )
    return preprocessing


@dataclass(frozen=True, slots=True)
class FitSquare:
    """PIL image of any size -> PIL image of resolution x resolution, as in `transforms_for`.

    By Pillow alone: `import torchvision` would be half of the time to a first answer.
    """

    preprocessing: Preprocessing

    def __call__(self, image: Image.Image) -> Image.Image:
        wanted, (width, height) = self.preprocessing, image.size
        side, scaled = wanted.resolution, wanted.shorter_side
        if wanted.resize == "squash":
            size = (scaled, scaled)
        elif width <= height:
            size = (scaled, int(scaled * height / width))
        else:
            size = (int(scaled * width / height), scaled)
        if size != image.size:
            image = image.resize(size, RESAMPLING[wanted.interpolation])
        left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
        return image if size == (side, side) else image.crop((left, top, left + side, top + side))


def fit_square(preprocessing: Preprocessing) -> FitSquare:
    """PIL image of any size -> PIL image of resolution x resolution."""
    return FitSquare(preprocessing)
