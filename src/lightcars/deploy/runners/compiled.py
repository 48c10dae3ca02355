"""torch.compile of the fused model. Inductor keeps what it compiled in a cache of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from lightcars.deploy.engines import Engine, quietly
from lightcars.deploy.runners import Precision
from lightcars.deploy.runners.pytorch import DTYPES
from lightcars.deploy.source import Source, own_precision, use_threads


def prepare(source: Source, precision: Precision, folder: Path) -> None:
    """Nothing: the compiler has its own cache."""


def start(source: Source, precision: Precision, folder: Path) -> Engine:  # noqa: ARG001
    """The compiled model, after its first call, which compiles it."""
    dtype, threads, device = DTYPES[precision], source.threads, source.device
    # As its documentation advises for inference: constant weights on a CPU, CUDA graphs on a GPU.
    options: dict[str, Any] = {"triton.cudagraphs": True} if device.type == "cuda" else {"freezing": True}
    compiled = torch.compile(source.fused(dtype), fullgraph=True, dynamic=False, options=options)

    def call(images: Tensor) -> Tensor:
        with torch.no_grad(), own_precision(device), use_threads(threads):
            return cast(Tensor, compiled(images.to(dtype)).to(torch.float32, copy=True))

    with quietly():
        call(torch.zeros(source.shape, device=device, dtype=torch.float32))
    return call
