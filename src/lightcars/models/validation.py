"""Checks shared by the configs of all families. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from lightcars.errors import ConfigError, did_you_mean

ConfigT = TypeVar("ConfigT", bound=Any)

MAX_INT = 10**9

OTHER_NAMES = {
    "pretrained": 'weights="imagenet"',
    "checkpoint_path": "weights",
    "in_chans": "img_channels",
    "drop_rate": "dropout",
    "drop_path_rate": "drop_path",
    "stochastic_depth_prob": "drop_path",
    "width_mult": "width",
    "width_multiplier": "width",
    "depth_mult": "depth",
    "depth_multiplier": "depth",
}
"""What timm and torchvision call a setting, and its name here."""

MIN_RESOLUTION = 32
"""Pixels. Models halve their input four or five times."""


def require_int(name: str, value: object, *, at_least: int) -> None:
    """Raise ConfigError unless `value` is a whole number from `at_least` to `MAX_INT`."""
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= MAX_INT:
        raise ConfigError(f"{name} must be a whole number of at least {at_least}, not {value!r}.")


def require_positive(name: str, value: object, *, at_most: float = math.inf) -> None:
    """Raise ConfigError unless `value` is a finite number above 0."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and 0 < value <= at_most):  # type: ignore[arg-type, operator]
        limit = f" up to {at_most:g}" if math.isfinite(at_most) else ""
        raise ConfigError(f"{name} must be a positive number{limit}, not {value!r}.")


def require_probability(name: str, value: object) -> None:
    """Raise ConfigError unless `value` is in [0, 1)."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 <= value < 1):  # type: ignore[operator]
        raise ConfigError(f"{name} must be a number from 0 up to, but not including, 1, not {value!r}.")


def require_flag(name: str, value: object) -> None:
    """Raise ConfigError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False, not {value!r}.")


def require_one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise ConfigError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")


def change_config(config: ConfigT, changes: Mapping[str, Any]) -> ConfigT:
    """Return `config` with `changes`; a key that it does not have is an error with the nearest names."""
    known = [field.name for field in fields(config)]
    for key in changes:
        if key not in known:
            ours = OTHER_NAMES.get(key, "")
            hint = f" Here it is {ours}." if ours in known or ours.startswith("weights") else ""
            raise ConfigError(
                f"{type(config).__name__} has no setting {key!r}.{hint or did_you_mean(key, known)}"
                f" It has: {', '.join(known)}."
            )
    return replace(config, **changes)


def has_setting(config: object, name: str) -> bool:
    """Return whether a config has a setting of that name."""
    return any(field.name == name for field in fields(config))  # type: ignore[arg-type]


def require_rows(name: str, rows: object, kind: type) -> None:
    """Raise ConfigError unless `rows` is a tuple of `kind` with at least one in it."""
    if not isinstance(rows, tuple) or not rows or not all(isinstance(row, kind) for row in rows):
        raise ConfigError(f"{name} must be a tuple of at least one {kind.__name__}, not {rows!r}.")


def require_common(config: Any) -> None:
    """Raise ConfigError for an invalid value of a setting that families share.

    `drop_path` and `out_channels` are checked where the config has them; an `out_channels` of None, where the
    config's own default is None, is the width that follows from `width`.
    """
    require_positive("width", config.width, at_most=20)
    require_int("resolution", config.resolution, at_least=MIN_RESOLUTION)
    require_int("num_classes", config.num_classes, at_least=0)
    require_int("img_channels", config.img_channels, at_least=1)
    require_probability("dropout", config.dropout)
    settings = {field.name: field for field in fields(config)}
    if "drop_path" in settings:
        require_probability("drop_path", config.drop_path)
    if "out_channels" in settings:
        derived = config.out_channels is None and settings["out_channels"].default is None
        if not derived:
            require_int("out_channels", config.out_channels, at_least=1)
