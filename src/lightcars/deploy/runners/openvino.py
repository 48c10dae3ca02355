"""OpenVINO on the processor. What is kept is the model as compiled for this machine."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightcars.deploy.engines import Engine, openvino_core
from lightcars.deploy.graphs import refusals
from lightcars.deploy.runners import Precision
from lightcars.deploy.source import Source

FILE = "model.blob"
_HINTS = {"fp32": "f32", "bf16": "bf16"}


def prepare(source: Source, precision: Precision, folder: Path) -> None:
    """Converts, compiles and exports."""
    with refusals("OpenVINO"):
        settings = _settings(source.threads, precision)
        compiled = openvino_core().compile_model(source.openvino, "CPU", settings)
        (folder / FILE).write_bytes(compiled.export_model().getvalue())


def start(source: Source, precision: Precision, folder: Path) -> Engine:
    """One request on the compiled model; calls from several threads wait for each other."""
    settings = _settings(source.threads, precision)
    compiled = openvino_core().import_model((folder / FILE).read_bytes(), "CPU", settings)
    request, lock = compiled.create_infer_request(), threading.Lock()

    def call(images: Tensor) -> Tensor:
        array = images.contiguous().numpy()
        with lock:  # the answer is copied before the next call overwrites it
            request.infer(array, share_inputs=True, share_outputs=True)
            return torch.from_numpy(request.get_output_tensor(0).data.copy())

    return call


def _settings(threads: int, precision: Precision) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, with all threads
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # pinned, several processes would share the first cores
        "CPU_DENORMALS_OPTIMIZATION": True,
    }
