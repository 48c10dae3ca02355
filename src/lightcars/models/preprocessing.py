"""Preprocessing: how images become the tensors that weights were trained on. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lightcars.errors import ConfigError
from lightcars.models.validation import require_int, require_one_of, require_positive

_TIMM_RESIZE: Mapping[str, Literal["squash", "crop"]] = {"center": "crop", "squash": "squash"}
"""timm's `crop_mode` -> ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Preprocessing of a checkpoint, stored with it: the wrong one looks like broken weights.

    Attributes:
        resolution: pixels of the square that the model sees.
        mean, std: per channel, of pixel values in [0, 1]; one value each for grayscale.
        resize: "squash" scales both sides to `shorter_side`, ignoring the aspect ratio, as both theses do;
            "crop" scales the shorter side to it. Then the middle is cut out.
        crop_fraction: the part of the scaled image's side that is kept; 1 keeps all of it.
        interpolation: of the scaling.
    """

    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Literal["squash", "crop"] = "squash"
    crop_fraction: float = 1.0
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __post_init__(self) -> None:
        require_int("resolution", self.resolution, at_least=1)
        require_one_of("resize", self.resize, ("squash", "crop"))
        require_one_of("interpolation", self.interpolation, ("bilinear", "bicubic"))
        require_positive("crop_fraction", self.crop_fraction, at_most=1)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if not isinstance(values, tuple) or not values or not all(map(_is_finite, values)):
                raise ConfigError(f"{name} must be a tuple of numbers, one for each channel, not {values!r}.")
        if len(self.mean) != len(self.std):
            raise ConfigError(f"mean {self.mean} and std {self.std} differ in their number of channels.")
        for value in self.std:
            require_positive("std", value)

    @property
    def shorter_side(self) -> int:
        """Pixels to which "crop" scales: resolution / crop_fraction, rounded down as in timm."""
        return math.floor(self.resolution / self.crop_fraction + 1e-6)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def timm_preprocessing(content: Mapping[str, Any]) -> Preprocessing:
    """Return the preprocessing in timm's `pretrained_cfg`, or in a `config.json` that has it inside.

    Raises:
        ConfigError: it has no size, mean or std, or a crop or interpolation that is not known here.
    """
    config = content.get("pretrained_cfg", content)
    if not isinstance(config, Mapping):
        raise ConfigError(f"pretrained_cfg must be a mapping of names to values, not {config!r}")
    crop_mode = config.get("crop_mode") or "center"
    if crop_mode not in _TIMM_RESIZE:
        raise ConfigError(f"crop_mode {crop_mode!r} is not known here")
    try:
        resolution, mean, std = config["input_size"][-1], tuple(config["mean"]), tuple(config["std"])
    except (KeyError, TypeError, IndexError) as error:
        raise ConfigError(f"input_size, mean or std are missing or invalid ({error!r})") from error
    return Preprocessing(
        resolution=resolution,
        mean=mean,
        std=std,
        resize=_TIMM_RESIZE[crop_mode],
        crop_fraction=config.get("crop_pct") or 0.875,
        interpolation=config.get("interpolation") or "bicubic",
    )
