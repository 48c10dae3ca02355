"""PyTorch: the fused model; on a GPU recorded as a CUDA graph, which is replayed for each batch."""

from __future__ import annotations

import threading
from pathlib import Path

import torch
from torch import Tensor

from lightcars.deploy.engines import Engine
from lightcars.deploy.runners import Precision
from lightcars.deploy.source import Source, use_threads
from lightcars.models.image_model import ImageModel

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def prepare(source: Source, precision: Precision, folder: Path) -> None:
    """Nothing: fusing takes a tenth of a second."""


def start(source: Source, precision: Precision, folder: Path) -> Engine:  # noqa: ARG001
    """The fused model in that precision."""
    fused = source.fused(DTYPES[precision])
    if source.device.type == "cuda":
        return _recorded(fused, source)

    def call(images: Tensor) -> Tensor:
        with torch.inference_mode(), use_threads(source.threads):
            logits = fused(images.to(DTYPES[precision]))
        return logits.to(torch.float32, copy=True)  # outside, for a tensor that autograd may use

    return call


def _recorded(fused: ImageModel, source: Source) -> Engine:
    """A CUDA graph for images of the shape that was asked for; others are run as they come."""
    dtype = next(fused.parameters()).dtype
    shape = source.shape
    images_in = torch.zeros(shape, device=source.device, dtype=dtype).to(memory_format=torch.channels_last)
    graph, lock = torch.cuda.CUDAGraph(), threading.Lock()
    with torch.inference_mode(), torch.cuda.device(source.device):
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
            with torch.inference_mode():
                logits = fused(images.to(dtype))
            return logits.to(torch.float32, copy=True)
        with lock, torch.no_grad(), torch.cuda.device(source.device):
            images_in.copy_(images)
            graph.replay()
            return logits_out.to(torch.float32, copy=True)

    return call
