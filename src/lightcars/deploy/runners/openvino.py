"""OpenVINO on the processor. What is kept is the model as compiled for this machine."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightcars.deploy.engines import Engine, openvino_core
from lightcars.deploy.graphs import refusals
from lightcars.deploy.processor import has_bf16
from lightcars.deploy.quantize import quantized, top1_change
from lightcars.deploy.runners import Precision
from lightcars.deploy.source import Source

FILE = "model.blob"


def prepare(source: Source, precision: Precision, folder: Path) -> None:
    """Converts, quantizes if that is wanted, compiles and exports."""
    settings = _settings(source.threads, precision)
    with refusals("OpenVINO"):
        model = source.openvino
        if precision == "int8":
            model = quantized(model, source, lambda made: top1_change(_run(_compile(made, settings)), source))
        (folder / FILE).write_bytes(_compile(model, settings).export_model().getvalue())


def start(source: Source, precision: Precision, folder: Path) -> Engine:
    """One request on the compiled model; calls from several threads wait for each other."""
    settings = _settings(source.threads, precision)
    return _run(openvino_core().import_model((folder / FILE).read_bytes(), "CPU", settings))


def _compile(model: Any, settings: Mapping[str, Any]) -> Any:
    return openvino_core().compile_model(model, "CPU", settings)


def _run(compiled: Any) -> Engine:
    request, lock = compiled.create_infer_request(), threading.Lock()

    def call(images: Tensor) -> Tensor:
        array = images.contiguous().numpy()
        with lock:  # the answer is copied before the next call overwrites it
            request.infer(array, share_inputs=True, share_outputs=True)
            return torch.from_numpy(request.get_output_tensor(0).data.copy())

    return call


def _settings(threads: int, precision: Precision) -> dict[str, Any]:
    low = precision == "bf16" or (precision == "int8" and has_bf16())  # there for what is not in int8
    return {
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, with all threads
        "INFERENCE_PRECISION_HINT": "bf16" if low else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # pinned, several processes would share the first cores
        "CPU_DENORMALS_OPTIMIZATION": True,
    }
