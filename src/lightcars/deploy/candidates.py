"""The engines and precisions that `optimize` tries."""

from __future__ import annotations

from typing import TypeAlias

import torch

from lightcars.deploy.cpu import computes_bf16
from lightcars.deploy.runners import ENGINE_PRECISIONS, ENGINES, EngineEntry, EnginePrecision
from lightcars.deploy.source import Source
from lightcars.errors import ConfigError, OptimizationError, did_you_mean

AUTO = "auto"
Candidate: TypeAlias = tuple[EngineEntry, EnginePrecision]


def find_candidates(engine: str, precision: str, source: Source) -> list[Candidate]:
    """Return all engines and precisions that are possible, or those that are named.

    Raises:
        ConfigError: an unknown name, or an engine and a precision that do not go together.
        OptimizationError: bf16 on a CPU without it.
    """
    device = source.device
    if engine != AUTO and engine not in tuple(ENGINES):
        known = (AUTO, *ENGINES)
        raise ConfigError(
            f"there is no engine {engine!r}.{did_you_mean(engine, known)} Choose {', '.join(known)}."
        )
    precisions = _precisions(precision, source)
    if engine != AUTO:
        entry = ENGINES[engine]
        _check_named(entry, precision, device)
        return [(entry, one) for one in precisions if one in entry.precisions]
    return [
        (entry, one)
        for entry in ENGINES.values()
        if entry.in_auto and (entry.on_gpu or device.type == "cpu")
        for one in precisions
        if one in entry.precisions
    ]


def _precisions(precision: str, source: Source) -> list[EnginePrecision]:
    known = (AUTO, *ENGINE_PRECISIONS)
    if precision not in known:
        raise ConfigError(
            f"there is no precision {precision!r}.{did_you_mean(precision, known)} Choose {', '.join(known)}."
        )
    on_cpu = source.device.type == "cpu"
    if precision == "int8" and source.calibration is None:
        raise ConfigError("int8 is calibrated on images: give calibration=FOLDER, such as the training data.")
    if precision == "int8" and not on_cpu:
        raise ConfigError("int8 is for CPUs; move the model to the CPU, or choose bf16.")
    bf16 = computes_bf16(source.device)
    if precision == "bf16" and not bf16:
        raise OptimizationError("this device does not support bf16; choose fp32 or auto.")
    possible = {"fp32": True, "bf16": bf16, "int8": on_cpu and source.calibration is not None}
    return [one for one in ENGINE_PRECISIONS if precision in (AUTO, one) and possible[one]]


def _check_named(entry: EngineEntry, precision: str, device: torch.device) -> None:
    if device.type != "cpu" and not entry.on_gpu:
        raise ConfigError(
            f"{entry.name} runs on the CPU here, and the model is on {device}; move it to the CPU, or choose"
            " torch or compile."
        )
    if precision not in (AUTO, *entry.precisions):
        raise ConfigError(
            f"{entry.name} does not support {precision} on a CPU; choose {', '.join(entry.precisions)}, or"
            " another engine."
        )
