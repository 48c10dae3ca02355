"""torch.compile of the fused model. Inductor has its own cache of compiled code."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from lightcars.deploy.execution import use_threads, without_autocast
from lightcars.deploy.packages import InferenceFunction, quietly
from lightcars.deploy.runners import EnginePrecision
from lightcars.deploy.runners.pytorch import DTYPES
from lightcars.deploy.source import Source


def prepare(source: Source, precision: EnginePrecision, folder: Path) -> None:
    """Do nothing: the compiler has its own cache."""


def start(source: Source, precision: EnginePrecision, folder: Path) -> InferenceFunction:  # noqa: ARG001
    """Return the compiled model, after the first call, which compiles it."""
    dtype, threads, device = DTYPES[precision], source.threads, source.device
    # As torch.compile's documentation advises for inference: frozen weights on a CPU, CUDA graphs on a GPU.
    options: dict[str, Any] = {"triton.cudagraphs": True} if device.type == "cuda" else {"freezing": True}
    compiled = torch.compile(source.fused(dtype), fullgraph=True, dynamic=False, options=options)

    def call(images: Tensor) -> Tensor:
        with torch.no_grad(), without_autocast(device), use_threads(threads):
            return cast(Tensor, compiled(images.to(dtype)).to(torch.float32, copy=True))

    with quietly():
        call(torch.zeros(source.shape, device=device, dtype=torch.float32))
    return call
