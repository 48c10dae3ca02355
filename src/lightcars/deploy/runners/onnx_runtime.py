"""ONNX Runtime on the CPU. Its file holds the graph, already optimized for this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightcars.deploy.conversion import conversion_errors
from lightcars.deploy.graphs import INPUT, OUTPUT
from lightcars.deploy.packages import InferenceFunction, require
from lightcars.deploy.runners import EnginePrecision
from lightcars.deploy.source import Source

FILE = "model.ort"
"""ONNX Runtime's own format, which loads twice as fast as ONNX."""


def prepare(source: Source, precision: EnginePrecision, folder: Path) -> None:  # noqa: ARG001
    """Convert the model and let ONNX Runtime write the optimized graph."""
    with conversion_errors("ONNX Runtime"):
        options = _options(source.threads)
        options.optimized_model_filepath = str(folder / FILE)
        _session(source.onnx, options)


def start(source: Source, precision: EnginePrecision, folder: Path) -> InferenceFunction:  # noqa: ARG001
    """Return a session on the optimized graph."""
    options = _options(source.threads)
    options.graph_optimization_level = require("onnxruntime").GraphOptimizationLevel.ORT_DISABLE_ALL
    session = _session(str(folder / FILE), options)

    def call(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: images.contiguous().numpy()})[0])

    return call


def _options(threads: int) -> Any:
    options = require("onnxruntime").SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # Otherwise its threads spin between calls and keep the cores from the caller.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return options


def _session(model: Any, options: Any) -> Any:
    return require("onnxruntime").InferenceSession(model, options, providers=["CPUExecutionProvider"])
