"""Torchvision transforms for a model's weights. No torch at import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from lightcars.errors import InputError
from lightcars.models.images import plain_image
from lightcars.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torchvision.transforms import v2

MAX_ASPECT_RATIO = 8
"""Longer images are cropped before they are scaled."""

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def transforms_for(model: Any) -> v2.Transform:
    """Return the transform from an image to the normalized (C, H, W) tensor that the model's weights expect.

    Size, crop, interpolation, mean and std are those of the weights, from the catalog or the checkpoint's
    `config.json`. The image is a PIL image, an array (H, W) or (H, W, C) of 8 or 16 bits, or a uint8 tensor
    (C, H, W). PIL images are made upright by their EXIF orientation, transparent pixels white, and 16 bits
    are scaled to 8, as `predict` does.

    Args:
        model: one with weights from `weights=` or `load`, or a `Preprocessing`.

    Raises:
        InputError: the model's weights came without preprocessing, or are randomly initialized.

    >>> from lightcars.models.preprocessing import Preprocessing
    >>> from PIL import Image
    >>> transform = transforms_for(Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.5,) * 3))
    >>> transform(Image.new("RGB", (60, 40))).shape
    torch.Size([3, 32, 32])
    """
    preprocessing = preprocessing_of(model)
    import torch
    from torchvision.transforms import InterpolationMode, v2

    channels = len(preprocessing.mean)
    side, scaled = preprocessing.resolution, preprocessing.shorter_side
    steps: list[Any] = []
    if channels in (1, 3):
        steps = [v2.Lambda(PlainImage(preprocessing)), v2.Grayscale() if channels == 1 else v2.RGB()]
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
    """Return the preprocessing of a model's weights, or the one that is given.

    Raises:
        InputError: the model's weights came without preprocessing, or are randomly initialized.
    """
    from lightcars.models.unwrapping import unwrap

    model = unwrap(model)
    preprocessing = model if isinstance(model, Preprocessing) else getattr(model, "preprocessing", None)
    if preprocessing is None:
        raise InputError(
            "the preprocessing of these weights is not known; set model.preprocessing to a"
            " lightcars.Preprocessing(resolution=..., mean=..., std=...)."
        )
    return preprocessing


@dataclass(frozen=True, slots=True)
class PlainImage:
    """PIL image or array -> PIL image as `predict` reads it; tensors pass unchanged."""

    preprocessing: Preprocessing

    def __call__(self, image: Any) -> Any:
        import torch

        if isinstance(image, torch.Tensor):
            return image
        plain = plain_image(image, len(self.preprocessing.mean))
        return plain if self.preprocessing.resize == "squash" else shortened(plain)


@dataclass(frozen=True, slots=True)
class FitSquare:
    """PIL image of any size -> PIL image of resolution x resolution, as in `transforms_for`.

    It needs Pillow only: `import torchvision` would be half of the time of a first prediction.
    """

    preprocessing: Preprocessing

    def __call__(self, image: Image.Image) -> Image.Image:
        wanted, side, scaled = (
            self.preprocessing,
            self.preprocessing.resolution,
            self.preprocessing.shorter_side,
        )
        if wanted.resize == "squash":
            size = (scaled, scaled)
        else:
            image = shortened(image)
            width, height = image.size
            wide = width > height
            size = (int(scaled * width / height), scaled) if wide else (scaled, int(scaled * height / width))
        if size != image.size:
            image = image.resize(size, RESAMPLING[wanted.interpolation])
        left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
        return image if size == (side, side) else image.crop((left, top, left + side, top + side))


def shortened(image: Image.Image) -> Image.Image:
    """Crop the ends of a very long image, which a center crop would drop anyway.

    Scaled to a shorter side of 256 pixels, an image of 1 x 60,000 pixels would have four billion.
    """
    short, long = min(image.size), max(image.size)
    if long <= MAX_ASPECT_RATIO * short:
        return image
    cut = (long - MAX_ASPECT_RATIO * short) // 2  # the same at both ends, so that the center stays
    width, height = image.size
    return image.crop((cut, 0, width - cut, height) if width > height else (0, cut, width, height - cut))


def fit_square(preprocessing: Preprocessing) -> FitSquare:
    """Return the resizing and cropping of a PIL image to resolution x resolution."""
    return FitSquare(preprocessing)
