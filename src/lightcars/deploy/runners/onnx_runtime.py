"""ONNX Runtime on the CPU. Its file holds the graph, already optimized for this machine."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from lightcars.deploy.conversion import conversion_errors
from lightcars.deploy.graphs import INPUT, OUTPUT
from lightcars.deploy.onnx_session import FILE, open_optimized, open_session, options
from lightcars.deploy.packages import InferenceFunction
from lightcars.deploy.runners import EnginePrecision
from lightcars.deploy.source import Source


def prepare(source: Source, precision: EnginePrecision, folder: Path) -> None:  # noqa: ARG001
    """Convert the model and let ONNX Runtime write the optimized graph."""
    with conversion_errors("ONNX Runtime"):
        chosen = options(source.threads)
        chosen.optimized_model_filepath = str(folder / FILE)
        open_session(source.onnx, chosen)


def start(source: Source, precision: EnginePrecision, folder: Path) -> InferenceFunction:  # noqa: ARG001
    """Return a session on the optimized graph."""
    session = open_optimized(str(folder / FILE), source.threads)

    def call(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: images.contiguous().numpy()})[0])

    return call
