"""The model as it is, in PyTorch: what `bench` compares the engines with. `optimize` does not choose it."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor

from lightcars.deploy.engines import Engine
from lightcars.deploy.runners import Precision
from lightcars.deploy.runners.pytorch import DTYPES
from lightcars.deploy.source import Source, own_precision, use_threads


def prepare(source: Source, precision: Precision, folder: Path) -> None:
    """Nothing."""


def start(source: Source, precision: Precision, folder: Path) -> Engine:  # noqa: ARG001
    """The model itself, or a copy in that precision."""
    dtype, threads, device = DTYPES[precision], source.threads, source.device
    model = source.eager if dtype == torch.float32 else copy.deepcopy(source.eager).to(dtype)

    def call(images: Tensor) -> Tensor:
        with torch.inference_mode(), own_precision(device), use_threads(threads):
            logits: Tensor = model(images.to(dtype))
        return logits.to(torch.float32, copy=True)

    return call
