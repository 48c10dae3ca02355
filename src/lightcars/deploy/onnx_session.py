"""Sessions of ONNX Runtime on the CPU. No torch."""

from __future__ import annotations

from typing import Any

from lightcars.deploy.packages import require

FILE = "model.ort"
"""Holds a graph that is optimized for this machine, in a format that loads twice as fast as ONNX."""


def options(threads: int) -> Any:
    """Return options for one batch at a time, with so many threads."""
    chosen = require("onnxruntime").SessionOptions()
    chosen.intra_op_num_threads = threads
    chosen.inter_op_num_threads = 1
    chosen.log_severity_level = 3  # errors
    # Otherwise its threads spin between calls and keep the cores from the caller.
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    chosen.add_session_config_entry("session.set_denormal_as_zero", "1")
    return chosen


def open_session(model: Any, chosen: Any) -> Any:
    """Open a model, as bytes or the path of a file."""
    return require("onnxruntime").InferenceSession(model, chosen, providers=["CPUExecutionProvider"])


def open_optimized(path: str, threads: int) -> Any:
    """Open a graph that is optimized already."""
    chosen = options(threads)
    chosen.graph_optimization_level = require("onnxruntime").GraphOptimizationLevel.ORT_DISABLE_ALL
    return open_session(path, chosen)
