"""The settings of `bench`. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightcars.deploy.runners import ENGINE_PRECISIONS, ENGINES, EngineEntry
from lightcars.errors import ConfigError, did_you_mean
from lightcars.models.validation import MIN_RESOLUTION, require_int, require_positive

if TYPE_CHECKING:
    from lightcars.deploy.calibration import Calibration

EAGER = EngineEntry(
    name="eager",
    module="eager",
    packages=("torch",),
    precisions=("fp32", "bf16"),
    on_gpu=True,
    any_batch=True,
)
"""The unmodified model in PyTorch: the baseline of the engines of `optimize`."""


def known_engines() -> dict[str, EngineEntry]:
    """Return all engines by name: eager first, then those of `optimize`."""
    return {EAGER.name: EAGER, **ENGINES}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """What to measure, and for how long.

    Attributes:
        engines: "eager" and those of `optimize`; None takes all that are installed, except "compile".
        precisions: "fp32", "bf16", "int8"; None takes fp32, bf16 where the device supports it, and
            int8 with `calibration`.
        batches: batch sizes; None takes 1, or 16 for training.
        resolution: pixels of the square input; None takes that of each model's weights.
        threads: CPU threads; None takes torch.get_num_threads().
        device: "cpu", "cuda" or "cuda:1".
        train: measure training steps instead of inference.
        calibration: for int8, which is measured only with it: a folder of images, or a `Calibration`.
        seconds: duration of each measurement, after a warm-up.
    """

    engines: tuple[str, ...] | None = None
    precisions: tuple[str, ...] | None = None
    batches: tuple[int, ...] | None = None
    resolution: int | None = None
    threads: int | None = None
    device: str = "cpu"
    train: bool = False
    calibration: Calibration | str | Path | None = None
    seconds: float = 2.0

    def __post_init__(self) -> None:
        _check_all("engine", self.engines, _known("engine", list(known_engines())))
        _check_all("precision", self.precisions, _known("precision", list(ENGINE_PRECISIONS)))
        _check_all("batch", self.batches, lambda batch: require_int("batch", batch, at_least=1))
        if self.resolution is not None:
            require_int("resolution", self.resolution, at_least=MIN_RESOLUTION)
        if self.threads is not None:
            require_int("threads", self.threads, at_least=1)
        require_positive("seconds", self.seconds, at_most=3600)
        if self.train and self.engines is not None:
            raise ConfigError("training steps are measured in PyTorch only; leave engines out.")
        if "int8" in (self.precisions or ()) and self.calibration is None and not self.train:
            raise ConfigError("int8 is calibrated on images: give a folder of them (--calibration).")
        if self.calibration is not None and (self.train or "int8" not in (self.precisions or ("int8",))):
            raise ConfigError("calibration is for int8, which is not among the precisions; leave it out.")


def _known(kind: str, names: list[str]) -> Callable[[Any], None]:
    def check(name: Any) -> None:
        if name not in names:
            raise ConfigError(
                f"there is no {kind} {name!r}.{did_you_mean(name, names)} Choose from {', '.join(names)}."
            )

    return check


def _check_all(name: str, values: Any, check: Callable[[Any], None]) -> None:
    if values is None:
        return
    if not isinstance(values, tuple) or not values:
        raise ConfigError(f"give at least one {name}, in a tuple, not {values!r}.")
    for value in values:
        check(value)
    if len(set(values)) < len(values):
        raise ConfigError(f"each {name} is measured once, but {', '.join(map(str, values))} repeats one.")
