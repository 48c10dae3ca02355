"""Run in a process of its own: set an engine up and verify it, measure it, or measure a training step."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import torch
import torch.nn.functional as F

from lightcars.benching.memory import growth_mib, mark_memory
from lightcars.benching.settings import known_engines
from lightcars.benching.transfer import read_model
from lightcars.counters.timing import time_calls
from lightcars.deploy.calibration import Calibration
from lightcars.deploy.classifier import describe, run_classifier
from lightcars.deploy.packages import quietly
from lightcars.deploy.reference import Reference
from lightcars.deploy.runners import EngineEntry, EnginePrecision
from lightcars.deploy.source import Source
from lightcars.deploy.verification import verify
from lightcars.errors import ConfigError
from lightcars.models.image_model import ImageModel
from lightcars.models.memory_format import TORCH_MEMORY_FORMATS

LEARNING_RATE = 1e-5
"""Small: labels are random, and weights should stay finite while they are trained on them."""


def set_up(task: dict[str, Any]) -> dict[str, Any]:
    """Set an engine up with empty caches, and compare its outputs with the model's."""
    source = _source(task)
    entry, precision, folder = _engine(task)
    entry.require()
    reference = Reference.of(source)
    with quietly():
        start = perf_counter()
        entry.runner.prepare(source, precision, folder)
        run = entry.runner.start(source, precision, folder)
        setup_s = perf_counter() - start
        result = verify(run, precision, source, reference)
    error = result.eager_error
    return {
        "setup_s": setup_s,
        "difference": finite(result.difference),
        "eager_difference": None if error is None else finite(error.precision_difference),
        "perturbation_difference": None if error is None else finite(error.perturbation_difference),
        "limit": result.limit,
        "top1_change_percent": result.top1_change_percent,
        "problem": result.problem,
    }


def finite(value: float) -> float | None:
    """Return a number, or None for NaN and infinity, which JSON does not have."""
    return value if math.isfinite(value) else None


def predict(task: dict[str, Any]) -> dict[str, Any]:
    """Measure latency and memory of an engine, from the files of `set_up`."""
    mark = _mark(torch.device(task["device"]))  # before the engine's package is imported
    source = _source(task)
    entry, precision, folder = _engine(task)
    with quietly():
        run = entry.runner.start(source, precision, folder)
    images = torch.rand(source.shape, generator=torch.Generator().manual_seed(0)).to(source.device)
    return _measured(partial(run, images), source.device, mark, task)


def train(task: dict[str, Any]) -> dict[str, Any]:
    """Measure latency and memory of a training step: forward, cross-entropy, backward, AdamW."""
    torch.set_num_threads(task["threads"])
    device = torch.device(task["device"])
    mark = _mark(device)
    return _measured(_step(task, device), device, mark, task)


def _step(task: dict[str, Any], device: torch.device) -> Callable[[], object]:
    memory_format = TORCH_MEMORY_FORMATS[task["memory_format"]]
    model = read_model(task, device).float().to(memory_format=memory_format)
    if isinstance(model, ImageModel) and model.config.num_classes == 0:
        raise ConfigError("it has no classes, and so no cross-entropy to train with")
    generator = torch.Generator().manual_seed(0)
    side = task["resolution"]
    shape = (task["batch"], describe(model).channels, side, side)
    images = torch.rand(shape, generator=generator).to(device).contiguous(memory_format=memory_format)
    with torch.no_grad():
        num_classes = run_classifier(model.eval(), images[:1]).shape[1]
    labels = torch.randint(num_classes, shape[:1], generator=generator).to(device)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=task["precision"] == "bf16"):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    return step


def _measured(
    call: Callable[[], object], device: torch.device, mark: int | None, task: dict[str, Any]
) -> dict[str, Any]:
    timing = time_calls(call, device, seconds=task["seconds"])
    on_gpu = device.type == "cuda"
    memory_mib = torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else growth_mib(mark)
    return {
        "calls": timing.calls,
        "latency_ms": timing.median_ms,
        "p95_ms": timing.p95_ms,
        "memory_mib": memory_mib,
    }


def _mark(device: torch.device) -> int | None:
    """Mark the memory so far; on a GPU PyTorch itself records the peak."""
    return None if device.type == "cuda" else mark_memory()


def _source(task: dict[str, Any]) -> Source:
    torch.set_num_threads(task["threads"])
    calibration = task["calibration"]
    return Source(
        model=read_model(task, task["device"]),
        batch=task["batch"],
        resolution=task["resolution"],
        threads=task["threads"],
        calibration=None if calibration is None else Calibration.from_plain(calibration),
        untrained=task["untrained"],
    )


def _engine(task: dict[str, Any]) -> tuple[EngineEntry, EnginePrecision, Path]:
    return known_engines()[task["engine"]], cast(EnginePrecision, task["precision"]), Path(task["folder"])
