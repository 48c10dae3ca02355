"""The unmodified model in eager PyTorch: the baseline of `bench`. Not a candidate of `optimize`."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from lightcars.deploy.execution import use_threads, without_autocast
from lightcars.deploy.packages import InferenceFunction
from lightcars.deploy.runners import EnginePrecision
from lightcars.deploy.runners.pytorch import DTYPES
from lightcars.deploy.source import Source


def prepare(source: Source, precision: EnginePrecision, folder: Path) -> None:
    """Do nothing."""


def start(source: Source, precision: EnginePrecision, folder: Path) -> InferenceFunction:  # noqa: ARG001
    """Return the model itself, or a copy in that precision."""
    dtype, threads, device = DTYPES[precision], source.threads, source.device
    model = source.in_precision(dtype)

    def call(images: Tensor) -> Tensor:
        with torch.inference_mode(), without_autocast(device), use_threads(threads):
            logits: Tensor = model(images.to(dtype))
        return logits.to(torch.float32, copy=True)

    return call
