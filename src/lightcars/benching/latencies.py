"""Latencies of registered models, measured on this machine once and kept."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from lightcars.counters.timing import time_calls
from lightcars.deploy.cache import cache_folder
from lightcars.files import replacing
from lightcars.models.build import build_model
from lightcars.models.registry import MODELS
from lightcars.text import json_text

SECONDS = 0.5
"""Measuring time of one model."""


def latency_file() -> Path:
    """Return the file of the latencies measured on this machine with this torch and number of threads."""
    machine = f"{platform.machine()}-{platform.node()}-torch{torch.__version__}-{torch.get_num_threads()}"
    return cache_folder() / "latencies" / f"{machine}.json"


def known_latencies() -> dict[str, float]:
    """Return milliseconds by name of the model; nothing from a file that cannot be read."""
    try:
        content = json.loads(latency_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        name: float(value)
        for name, value in content.items()
        if name in MODELS and isinstance(value, int | float) and 0 < value < float("inf")
    }


def measure_latencies(names: Iterable[str]) -> Iterator[tuple[str, float]]:
    """Measure models one after the other; each is kept before the next one begins.

    One image at the model's resolution, in float32 on the CPU, PyTorch's eager mode: a measure of the
    architecture, not of the fastest engine for it (`lightcars bench`).

    Yields:
        the name of the model and its median latency in milliseconds.
    """
    for name in names:
        latency_ms = _measure(name)
        content = known_latencies() | {name: latency_ms}
        with replacing(latency_file()) as file:
            file.write_text(json_text(content, ensure_ascii=True), encoding="utf-8")
        yield name, latency_ms


@torch.inference_mode()
def _measure(name: str) -> float:
    model = build_model(MODELS[name].config, device="cpu").eval()
    resolution = model.config.resolution
    x = torch.rand(1, model.config.img_channels, resolution, resolution)
    return time_calls(lambda: model(x), torch.device("cpu"), seconds=SECONDS).median_ms
