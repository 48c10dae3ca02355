"""What each process does: set an engine up and compare it, measure it, or measure a training step."""

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
from lightcars.counters.timing import time_calls
from lightcars.deploy.calibration import Calibration
from lightcars.deploy.engines import quietly
from lightcars.deploy.measuring import Check
from lightcars.deploy.runners import EngineEntry, Precision
from lightcars.deploy.source import Source
from lightcars.deploy.verification import judge
from lightcars.errors import ConfigError
from lightcars.models.memory_format import LAYOUTS
from lightcars.weights.checkpoint import load

LEARNING_RATE = 1e-5
"""Small: labels are drawn, and weights that learn them for seconds should stay finite."""


def set_up(task: dict[str, Any]) -> dict[str, Any]:
    """From the model to an engine that answers, as if for the first time; and how it answers."""
    source = _source(task)
    entry, precision, folder = _engine(task)
    entry.require()
    check = Check.of(source)
    with quietly():
        start = perf_counter()
        entry.runner.prepare(source, precision, folder)
        run = entry.runner.start(source, precision, folder)
        setup_s = perf_counter() - start
        found = judge(run, precision, source, check)
    finite = math.isfinite(found.difference)
    return {
        "setup_s": setup_s,
        "difference": found.difference if finite else None,
        "top1_change_percent": found.top1_change_percent,
        "problem": found.problem if task["judged"] or not finite else None,
    }


def predict(task: dict[str, Any]) -> dict[str, Any]:
    """Latency and memory of an engine, from what `set_up` left in the folder."""
    mark = _mark(torch.device(task["device"]))  # before the engine's package is imported
    source = _source(task)
    entry, precision, folder = _engine(task)
    with quietly():
        run = entry.runner.start(source, precision, folder)
    images = torch.rand(source.shape, generator=torch.Generator().manual_seed(0)).to(source.device)
    return _measured(partial(run, images), source.device, mark, task)


def train(task: dict[str, Any]) -> dict[str, Any]:
    """Latency and memory of a training step: forward, cross-entropy, backward, AdamW."""
    torch.set_num_threads(task["threads"])
    device = torch.device(task["device"])
    mark = _mark(device)
    return _measured(_step(task, device), device, mark, task)


def _step(task: dict[str, Any], device: torch.device) -> Callable[[], object]:
    layout = LAYOUTS[task["layout"]]
    model = load(task["weights"], device=device, dtype=torch.float32).train().to(memory_format=layout)
    config = model.config
    if config.num_classes == 0:
        raise ConfigError("it has no classes, and so no cross-entropy to train with")
    generator = torch.Generator().manual_seed(0)
    side = task["resolution"]
    shape = (task["batch"], config.img_channels, side, side)
    images = torch.rand(shape, generator=generator).to(device).contiguous(memory_format=layout)
    labels = torch.randint(config.num_classes, shape[:1], generator=generator).to(device)
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
    found = time_calls(call, device, seconds=task["seconds"])
    on_gpu = device.type == "cuda"
    memory_mib = torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else growth_mib(mark)
    return {
        "calls": found.calls,
        "latency_ms": found.median_ms,
        "p95_ms": found.p95_ms,
        "memory_mib": memory_mib,
    }


def _mark(device: torch.device) -> int | None:
    """On a GPU PyTorch itself keeps the peak."""
    return None if device.type == "cuda" else mark_memory()


def _source(task: dict[str, Any]) -> Source:
    torch.set_num_threads(task["threads"])
    model = load(task["weights"], device=task["device"])
    return Source(
        model=model,
        batch=task["batch"],
        resolution=task["resolution"],
        threads=task["threads"],
        calibration=None if task["calibration"] is None else Calibration(**task["calibration"]),
    )


def _engine(task: dict[str, Any]) -> tuple[EngineEntry, Precision, Path]:
    return known_engines()[task["engine"]], cast(Precision, task["precision"]), Path(task["folder"])
