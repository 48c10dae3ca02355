"""How photographs become the tensors that certain weights were trained on. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Stored beside weights, because the wrong one looks like broken weights.

    Attributes:
        resolution: pixels of the square that the model sees.
        mean, std: per channel, of pixel values in [0, 1]; one value each for grayscale.
        resize: "squash" scales both sides to `resolution`, whatever the aspect ratio, as both theses do;
            "crop" scales the shorter side to resolution / crop_fraction and cuts the middle out.
        crop_fraction: the part of the scaled image that "crop" keeps.
        interpolation: of the scaling.
    """

    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Literal["squash", "crop"] = "squash"
    crop_fraction: float = 1.0
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
