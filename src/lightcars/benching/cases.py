"""From models and settings to what is measured, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch

from lightcars.benching.settings import EAGER, BenchSettings, known_engines
from lightcars.deploy.calibration import as_calibration
from lightcars.deploy.cpu import computes_bf16
from lightcars.deploy.quantize import require_nncf
from lightcars.deploy.runners import EngineEntry
from lightcars.deploy.source import checked_threads, own_resolution
from lightcars.errors import ConfigError, OptimizationError
from lightcars.models.build import resolve_device
from lightcars.models.image_model import ImageModel
from lightcars.models.memory_format import LAYOUTS
from lightcars.models.transforms import preprocessing_of

Kind: TypeAlias = tuple[str, str, str | None]

USUAL_PRECISIONS = ("fp32", "bf16")
"""Those that need nothing but a device that computes in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchCase:
    """One row to be.

    Attributes:
        model: its name among those given.
        engine, precision: which; a training step is eager, and its bf16 is autocast.
        batch, resolution, threads, device: as measured.
        layout: of weights and images in a training step; None for predictions.
    """

    model: str
    engine: str
    precision: str
    batch: int
    resolution: int
    threads: int
    device: str
    layout: str | None = None


def plan(models: Mapping[str, ImageModel], settings: BenchSettings) -> list[BenchCase]:
    """Everything that the settings ask for and this machine can do, model by model.

    Raises:
        ConfigError, DeviceError, OptimizationError: something that cannot be.
        DataError, InputError: no photographs to calibrate with, or a model whose preprocessing is not known.
        MissingExtraError: an engine that was named is not installed.
    """
    if not models:
        raise ConfigError("give at least one model.")
    for name, model in models.items():
        _check(name, model)
    kinds, threads = kinds_here(settings), checked_threads(settings.threads)
    if any(precision == "int8" for _, precision, _ in kinds):
        for model in models.values():
            preprocessing_of(model)
    return [
        BenchCase(
            model=name,
            engine=engine,
            precision=precision,
            batch=batch,
            resolution=settings.resolution or own_resolution(model),
            threads=threads,
            device=settings.device,
            layout=layout,
        )
        for name, model in models.items()
        for batch in settings.batches or ((16,) if settings.train else (1,))
        for engine, precision, layout in kinds
    ]


def kinds_here(settings: BenchSettings) -> list[Kind]:
    """Engine, precision and layout of what this machine can measure; errors as `plan`, before any model."""
    device = resolve_device(settings.device)
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"bench measures on cpu and cuda, not on {device.type}.")
    checked_threads(settings.threads)
    precisions = _precisions(settings, device)
    kinds = _training(precisions) if settings.train else _predicting(settings, precisions, device)
    calibration = as_calibration(settings.calibration)
    if calibration is not None and any(precision == "int8" for _, precision, _ in kinds):
        calibration.digest()  # there are photographs
        require_nncf()
    return kinds


def _check(name: str, model: object) -> None:
    if not isinstance(model, ImageModel):
        raise ConfigError(f"bench takes models of lightcars; {name} is a {type(model).__name__}.")
    if model.fused:
        raise ConfigError(f"{name} is fused; give the model that it was made from: engine torch fuses it.")
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise ConfigError(f"{name} has no weights (it is on the meta device); build it elsewhere.")


def _precisions(settings: BenchSettings, device: torch.device) -> tuple[str, ...]:
    possible = computes_bf16(device)
    if settings.precisions is None:
        usual = tuple(one for one in USUAL_PRECISIONS if one != "bf16" or possible)
        return usual if settings.calibration is None or settings.train else (*usual, "int8")
    if "bf16" in settings.precisions and not possible:
        raise OptimizationError("this device does not compute in bf16; choose fp32.")
    if settings.train and (others := set(settings.precisions) - set(USUAL_PRECISIONS)):
        raise ConfigError(f"there is no training in {', '.join(sorted(others))}; choose fp32 or bf16.")
    return settings.precisions


def _training(precisions: tuple[str, ...]) -> list[Kind]:
    return [(EAGER.name, precision, layout) for precision in precisions for layout in LAYOUTS]


def _predicting(settings: BenchSettings, precisions: tuple[str, ...], device: torch.device) -> list[Kind]:
    return [
        (entry.name, precision, None)
        for entry in _engines(settings, device)
        for precision in _of_engine(entry, precisions, settings)
    ]


def _engines(settings: BenchSettings, device: torch.device) -> Iterator[EngineEntry]:
    known = known_engines()
    if settings.engines is None:
        for entry in known.values():
            if entry.in_auto and None not in entry.versions and (entry.on_gpu or device.type == "cpu"):
                yield entry
        return
    for entry in (known[name] for name in settings.engines):
        entry.require()
        if device.type != "cpu" and not entry.on_gpu:
            raise ConfigError(f"{entry.name} runs on the processor alone; leave it out on {device}.")
        yield entry


def _of_engine(entry: EngineEntry, precisions: tuple[str, ...], settings: BenchSettings) -> list[str]:
    """What it computes in, of what is wanted; an error where both were named and do not go together."""
    found: list[str] = [one for one in precisions if one in entry.precisions]
    if not found and settings.engines is not None:
        raise ConfigError(
            f"{entry.name} does not compute in {' or '.join(precisions)}; choose"
            f" {', '.join(entry.precisions)}, or another engine."
        )
    return found
