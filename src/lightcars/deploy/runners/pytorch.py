"""PyTorch: the fused model; on a GPU captured as a CUDA graph."""

from __future__ import annotations

import threading
from pathlib import Path

import torch
from torch import Tensor, nn

from lightcars.deploy.execution import use_threads, without_autocast
from lightcars.deploy.packages import InferenceFunction
from lightcars.deploy.runners import EnginePrecision
from lightcars.deploy.source import Source

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def prepare(source: Source, precision: EnginePrecision, folder: Path) -> None:
    """Do nothing: fusing takes a tenth of a second."""


def start(source: Source, precision: EnginePrecision, folder: Path) -> InferenceFunction:  # noqa: ARG001
    """Return the fused model in that precision."""
    dtype, threads, device = DTYPES[precision], source.threads, source.device
    fused = source.fused(dtype)
    if device.type == "cuda":
        return _captured(fused, source.shape, device, dtype)

    def call(images: Tensor) -> Tensor:
        with torch.inference_mode(), without_autocast(device), use_threads(threads):
            logits = fused(images.to(dtype))
        return _as_output(logits)

    return call


def _captured(
    fused: nn.Module, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype
) -> InferenceFunction:
    """Return a CUDA graph for batches of one shape; other shapes run without it."""
    images_in = torch.zeros(shape, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    graph, lock = torch.cuda.CUDAGraph(), threading.Lock()
    with torch.inference_mode(), without_autocast(device), torch.cuda.device(device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries select their kernels before the capture
            for _ in range(3):
                fused(images_in)
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(graph):
            logits_out = fused(images_in)

    def call(images: Tensor) -> Tensor:
        if images.shape != shape:
            with torch.inference_mode(), without_autocast(device):
                logits = fused(images.to(dtype))
            return _as_output(logits)
        with lock, torch.no_grad(), torch.cuda.device(device):
            images_in.copy_(images)
            graph.replay()
            return _as_output(logits_out)

    return call


def _as_output(logits: Tensor) -> Tensor:
    """Return a float32 copy; outside inference mode also one that autograd may use."""
    return logits.to(torch.float32, copy=True)
