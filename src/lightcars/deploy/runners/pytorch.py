"""PyTorch: the fused model; on a GPU recorded as a CUDA graph, which is replayed for each batch."""

from __future__ import annotations

import threading
from pathlib import Path

import torch
from torch import Tensor

from lightcars.deploy.engines import Engine
from lightcars.deploy.runners import Precision
from lightcars.deploy.source import Source, own_precision, use_threads
from lightcars.models.image_model import ImageModel

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def prepare(source: Source, precision: Precision, folder: Path) -> None:
    """Nothing: fusing takes a tenth of a second."""


def start(source: Source, precision: Precision, folder: Path) -> Engine:  # noqa: ARG001
    """The fused model in that precision."""
    dtype, threads, device = DTYPES[precision], source.threads, source.device
    fused = source.fused(dtype)
    if device.type == "cuda":
        return _recorded(fused, source.shape, device, dtype)

    def call(images: Tensor) -> Tensor:
        with torch.inference_mode(), own_precision(device), use_threads(threads):
            logits = fused(images.to(dtype))
        return _as_answer(logits)

    return call


def _recorded(fused: ImageModel, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Engine:
    """A CUDA graph for images of the shape that was asked for; others are run as they come."""
    images_in = torch.zeros(shape, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    graph, lock = torch.cuda.CUDAGraph(), threading.Lock()
    with torch.inference_mode(), own_precision(device), torch.cuda.device(device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries choose their kernels before the recording
            for _ in range(3):
                fused(images_in)
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(graph):
            logits_out = fused(images_in)

    def call(images: Tensor) -> Tensor:
        if images.shape != shape:
            with torch.inference_mode(), own_precision(device):
                logits = fused(images.to(dtype))
            return _as_answer(logits)
        with lock, torch.no_grad(), torch.cuda.device(device):
            images_in.copy_(images)
            graph.replay()
            return _as_answer(logits_out)

    return call


def _as_answer(logits: Tensor) -> Tensor:
    """In float32 and in memory of its own; outside inference mode also one that autograd may use."""
    return logits.to(torch.float32, copy=True)
