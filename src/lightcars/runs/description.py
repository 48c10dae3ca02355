"""`run.json`: everything that is needed to repeat a run. Read and written here alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from lightcars.errors import ConfigError, RunError
from lightcars.files import write_text
from lightcars.models.config import ModelConfig
from lightcars.recipes.files import recipe_from
from lightcars.recipes.recipe import Recipe
from lightcars.text import rounded
from lightcars.weights.checkpoint import describe_config, read_config

FORMAT = 1
"""Version of the file. Files without one were written before there were versions; they can be read too."""

T = TypeVar("T")
_MISSING: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """The model that is trained: its name and its whole config."""

    name: str
    config: ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDescription:
    """The data set that a run was started with.

    Attributes:
        root: absolute path of its folder.
        layout: how the folder is arranged, in words.
        num_classes: number of classes.
        num_images: images of each split.
        validation_seed: seed with which `val` was split off from `train`; None if it came with the data.
        digests: split -> SHA-256 over names, sizes and labels of its images; empty in older files.
        unreadable: split -> number of images that could not be read; empty in older files.
    """

    root: Path
    layout: str
    num_classes: int
    num_images: Mapping[str, int]
    validation_seed: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSpeed:
    """The measurement that chose precision and memory format of a run.

    Attributes:
        chosen: precision and memory format that the run uses: "bf16-mixed channels_last".
        milliseconds: of forward and backward pass, the least of all rounds, for each combination.
        batch: images in the measured batch.
        resolution: pixels of the square.
    """

    chosen: str
    milliseconds: Mapping[str, float]
    batch: int
    resolution: int

    def __str__(self) -> str:
        """Return a one-line summary."""
        slowest = max(self.milliseconds, key=lambda setting: self.milliseconds[setting])
        ours, theirs = self.milliseconds[self.chosen], self.milliseconds[slowest]
        images = f"{self.batch} images of {self.resolution} px"
        if slowest == self.chosen:
            return f"training in {self.chosen}: {rounded(ours)} ms for {images}, forward and backward"
        return (
            f"training in {self.chosen}: {theirs / ours:.2f}x the speed of {slowest} here"
            f" ({rounded(theirs)} -> {rounded(ours)} ms for {images}, forward and backward)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDescription:
    """Everything that is needed to repeat a run.

    Attributes:
        model: name and config.
        recipe: as it was run: nothing in it is "auto" any more.
        data: what it was trained on.
        weights: the weights it was started from; None for random weights.
        training_speed: what was measured before the run, if anything was.
        training_resolutions: first epoch, counted from 1, -> resolution, where images grow over the epochs.
        versions: of Python and of the packages that matter.
        machine: as `platform.machine` names it.
        started: date and time in UTC, "2026-11-29T02:03:20Z"; empty in older files.
        device: name of the device that trains; empty in older files.
        trackers: names of the trackers.
        tracker_runs: tracker -> id of the run there.
        lightcars_version: the version that wrote it.
    """

    model: ModelDescription
    recipe: Recipe
    data: DataDescription
    weights: str | None = None
    training_speed: TrainingSpeed | None = None
    training_resolutions: Mapping[int, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    started: str = ""
    device: str = ""
    trackers: tuple[str, ...] = ("csv", "tensorboard")
    tracker_runs: Mapping[str, str] = field(default_factory=dict)
    lightcars_version: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as in the file; what does not apply to the run is left out."""
        data = {**asdict(self.data), "root": str(self.data.root)}
        speed, growth = self.training_speed, self.training_resolutions
        return {
            "format": FORMAT,
            "lightcars_version": self.lightcars_version,
            "model": {"name": self.model.name, **describe_config(self.model.config)},
            "weights": self.weights,
            "recipe": self.recipe.to_dict(),
            **({"training_resolutions": {str(e): size for e, size in growth.items()}} if growth else {}),
            **({"training_speed": asdict(speed)} if speed else {}),
            "data": {key: value for key, value in data.items() if value != {}},
            "versions": dict(self.versions),
            "machine": self.machine,
            **({"started": self.started} if self.started else {}),
            **({"device": self.device} if self.device else {}),
            "trackers": list(self.trackers),
            "tracker_runs": dict(self.tracker_runs),
        }


def write_description(path: Path, description: RunDescription) -> None:
    """Write `run.json`, whole or not at all."""
    write_text(path, json.dumps(description.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_description(path: Path) -> RunDescription:
    """Read `run.json`, also one that an earlier version wrote.

    Raises:
        RunError: it cannot be read, is damaged or incomplete, or a newer lightcars wrote it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_not_json)
        return _parsed(_Section(content, ""), str(path))
    except RecursionError as error:
        raise RunError(f"{path} cannot be read (nested too deeply).") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise RunError(f"{path} cannot be read ({reason}).") from error


def _parsed(content: _Section, origin: str) -> RunDescription:
    if not 0 <= content.take("format", int, 0) <= FORMAT:
        raise ConfigError(f"format {content.take('format', int)}; a newer lightcars wrote it")
    model = content.section("model")
    growth = content.table("training_resolutions", int)
    return RunDescription(
        model=ModelDescription(name=model.take("name", str), config=read_config(model.items)),
        recipe=recipe_from(content.section("recipe").items, origin),
        data=_data(content.section("data")),
        weights=content.optional("weights", str),
        training_speed=_speed(content.section("training_speed"))
        if "training_speed" in content.items
        else None,
        training_resolutions={_epoch(key): size for key, size in growth.items()},
        versions=content.table("versions", str),
        machine=content.take("machine", str, ""),
        started=content.take("started", str, ""),
        device=content.take("device", str, ""),
        trackers=content.texts("trackers", ("csv", "tensorboard")),
        tracker_runs=content.table("tracker_runs", str),
        lightcars_version=content.take("lightcars_version", str, ""),
    )


def _epoch(key: str) -> int:
    if not key.isascii() or not key.isdigit():
        raise ConfigError(f"training_resolutions: {key!r} is not an epoch")
    return int(key)


def _data(data: _Section) -> DataDescription:
    return DataDescription(
        root=Path(data.take("root", str)),
        layout=data.take("layout", str, ""),
        num_classes=data.take("num_classes", int),
        num_images=data.table("num_images", int, required=True),
        validation_seed=data.optional("validation_seed", int),
        digests=data.table("digests", str),
        unreadable=data.table("unreadable", int),
    )


def _speed(speed: _Section) -> TrainingSpeed:
    found = TrainingSpeed(
        chosen=speed.take("chosen", str),
        milliseconds=speed.table("milliseconds", float, required=True),
        batch=speed.take("batch", int),
        resolution=speed.take("resolution", int),
    )
    if found.chosen not in found.milliseconds:
        raise ConfigError(f"training_speed.milliseconds does not have {found.chosen!r}")
    return found


class _Section:
    """One JSON object, read field by field; a missing field or another type is a ConfigError."""

    def __init__(self, items: object, name: str) -> None:
        if not isinstance(items, dict):
            raise ConfigError(f"{name or 'its content'} is not an object")
        self.items: dict[str, Any] = items
        self._prefix = f"{name}." if name else ""

    def take(self, key: str, kind: type[T], default: T = _MISSING) -> T:
        value = self.items.get(key, default)
        if value is _MISSING:
            raise ConfigError(f"there is no {self._prefix}{key}")
        return _of_kind(value, kind, self._prefix + key)

    def optional(self, key: str, kind: type[T]) -> T | None:
        return None if self.items.get(key) is None else self.take(key, kind)

    def section(self, key: str) -> _Section:
        return _Section(self.take(key, dict), self._prefix + key)

    def table(self, key: str, kind: type[T], *, required: bool = False) -> dict[str, T]:
        items = self.take(key, dict, _MISSING if required else {})
        return {name: _of_kind(value, kind, f"{self._prefix}{key}.{name}") for name, value in items.items()}

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        items = self.take(key, list, list(default))
        return tuple(_of_kind(item, str, self._prefix + key) for item in items)


def _of_kind(value: object, kind: type[T], name: str) -> T:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return cast(T, float(value))
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{name} is not {_KINDS[kind]}")
    return value


_KINDS: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
}


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
