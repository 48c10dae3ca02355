"""The trackers of a run, by name. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from types import MappingProxyType

from lightcars.errors import ConfigError, MissingExtraError, did_you_mean

TRACKER_EXTRAS: Mapping[str, str | None] = MappingProxyType(
    {"csv": None, "tensorboard": "cars", "wandb": "wandb", "mlflow": "mlflow"}
)
"""Tracker -> the extra of lightcars that installs its package, which has the same name.

csv is metrics.csv, which every run writes.
"""

NO_TRACKER = "none"
DEFAULT_TRACKERS = ("csv", "tensorboard")


def check_trackers(names: Sequence[str] | str) -> tuple[str, ...]:
    """Return the trackers of these names (a single one needs no list), each once; "none" alone is none.

    Raises:
        ConfigError: there is no such tracker, or "none" stands beside others.
        MissingExtraError: its package is not installed.
    """
    chosen = tuple(dict.fromkeys([names] if isinstance(names, str) else names))
    if chosen == (NO_TRACKER,):
        return ()
    for name in chosen:
        _check(name)
    return chosen


def _check(name: str) -> None:
    if name == NO_TRACKER:
        raise ConfigError("tracker none stands alone; leave the others out.")
    if name == "neptune":
        raise ConfigError(
            "Neptune ended its service in March 2026 and Lightning removed its logger;"
            " use tensorboard, wandb or mlflow."
        )
    if name not in TRACKER_EXTRAS:
        known = (*TRACKER_EXTRAS, NO_TRACKER)
        raise ConfigError(
            f"there is no tracker {name!r}.{did_you_mean(name, known)} There are {', '.join(known)}."
        )
    extra = TRACKER_EXTRAS[name]
    if extra is not None and find_spec(name) is None:
        raise MissingExtraError(f"tracker {name} needs {name}: pip install 'lightcars[{extra}]'")
