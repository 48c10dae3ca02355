"""Plan a benchmark: from models and settings to the cases to measure."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from lightcars.benching.settings import EAGER, BenchSettings, known_engines
from lightcars.deploy.calibration import as_calibration
from lightcars.deploy.calibration_images import calibration_preprocessing
from lightcars.deploy.classifier import describe
from lightcars.deploy.cpu import computes_bf16
from lightcars.deploy.execution import resolve_threads
from lightcars.deploy.quantize import require_nncf
from lightcars.deploy.runners import EngineEntry
from lightcars.errors import ConfigError, OptimizationError
from lightcars.models.build import resolve_device
from lightcars.models.image_model import ImageModel
from lightcars.models.memory_format import TORCH_MEMORY_FORMATS
from lightcars.models.unwrapping import has_weights

Kind: TypeAlias = tuple[str, str, str | None]

USUAL_PRECISIONS = ("fp32", "bf16")
"""Those that need only a device with the precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchCase:
    """One measurement to make.

    Attributes:
        model: its name among those given.
        engine, precision: names; a training step is eager, and its bf16 is autocast.
        batch, resolution, threads, device: of the measurement.
        memory_format: of weights and images in a training step; None for inference.
    """

    model: str
    engine: str
    precision: str
    batch: int
    resolution: int
    threads: int
    device: str
    memory_format: str | None = None

    @property
    def layout(self) -> str | None:
        """Deprecated name of `memory_format`."""
        message = "layout is now called memory_format; the old name goes with the next version."
        warnings.warn(message, FutureWarning, stacklevel=2)
        return self.memory_format


def plan(models: Mapping[str, nn.Module], settings: BenchSettings) -> list[BenchCase]:
    """Return all cases that the settings ask for and this machine supports, model by model.

    Raises:
        ConfigError, DeviceError, OptimizationError: something that cannot be measured here.
        DataError, InputError: no images to calibrate with, or a model whose preprocessing is not known.
        MissingExtraError: a named engine is not installed.
    """
    if not models:
        raise ConfigError("give at least one model.")
    for name, model in models.items():
        _check(name, model)
    kinds, threads = available_kinds(settings), resolve_threads(settings.threads)
    calibration = as_calibration(settings.calibration)
    if calibration is not None and any(precision == "int8" for _, precision, _ in kinds):
        for model in models.values():
            calibration_preprocessing(describe(model), calibration)
    return [
        BenchCase(
            model=name,
            engine=engine,
            precision=precision,
            batch=batch,
            resolution=describe(model).resolution_or(settings.resolution),
            threads=threads,
            device=settings.device,
            memory_format=memory_format,
        )
        for name, model in models.items()
        for batch in settings.batches or ((16,) if settings.train else (1,))
        for engine, precision, memory_format in kinds
    ]


def available_kinds(settings: BenchSettings) -> list[Kind]:
    """Return engine, precision and memory format of all that this machine supports; errors as of `plan`."""
    device = resolve_device(settings.device)
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"bench measures on cpu and cuda, not on {device.type}.")
    resolve_threads(settings.threads)
    precisions = _precisions(settings, device)
    kinds = _training(precisions) if settings.train else _predicting(settings, precisions, device)
    calibration = as_calibration(settings.calibration)
    if calibration is not None and any(precision == "int8" for _, precision, _ in kinds):
        calibration.digest()  # fails without images
        require_nncf()
    return kinds


def _check(name: str, model: object) -> None:
    if not isinstance(model, nn.Module):
        raise ConfigError(f"bench takes torch.nn.Modules; {name} is a {type(model).__name__}.")
    if isinstance(model, ImageModel) and model.fused:
        raise ConfigError(f"{name} is fused; give the original model: engine torch fuses it.")
    if not has_weights(model):
        raise ConfigError(f"{name} has no weights (it is on the meta device); build it elsewhere.")


def _precisions(settings: BenchSettings, device: torch.device) -> tuple[str, ...]:
    possible = computes_bf16(device)
    if settings.precisions is None:
        usual = tuple(one for one in USUAL_PRECISIONS if one != "bf16" or possible)
        return usual if settings.calibration is None or settings.train else (*usual, "int8")
    if "bf16" in settings.precisions and not possible:
        raise OptimizationError("this device does not support bf16; choose fp32.")
    if settings.train and (others := set(settings.precisions) - set(USUAL_PRECISIONS)):
        raise ConfigError(f"there is no training in {', '.join(sorted(others))}; choose fp32 or bf16.")
    return settings.precisions


def _training(precisions: tuple[str, ...]) -> list[Kind]:
    return [
        (EAGER.name, precision, memory_format)
        for precision in precisions
        for memory_format in TORCH_MEMORY_FORMATS
    ]


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
            raise ConfigError(f"{entry.name} runs on the CPU only; leave it out on {device}.")
        yield entry


def _of_engine(entry: EngineEntry, precisions: tuple[str, ...], settings: BenchSettings) -> list[str]:
    """Return the precisions of an engine; an error where named ones do not go together."""
    supported: list[str] = [one for one in precisions if one in entry.precisions]
    if not supported and settings.engines is not None:
        raise ConfigError(
            f"{entry.name} does not support {' or '.join(precisions)}; choose"
            f" {', '.join(entry.precisions)}, or another engine."
        )
    return supported
