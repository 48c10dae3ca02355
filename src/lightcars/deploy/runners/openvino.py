"""OpenVINO on the CPU. Its file holds the model compiled for this machine.

A batch may be faster in parts that run concurrently, each in its own stream: the activations of a part stay
in a core's cache, and threads synchronize once per batch instead of once per layer. The number of parts is
measured.
"""

from __future__ import annotations

import math
import threading
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightcars.deploy.conversion import conversion_errors
from lightcars.deploy.cpu import has_bf16
from lightcars.deploy.measuring import take_turns
from lightcars.deploy.packages import InferenceFunction, openvino_core
from lightcars.deploy.quantize import quantized, top1_change
from lightcars.deploy.runners import EnginePrecision
from lightcars.deploy.source import Source

FILE = "parts-{}.blob"
GAIN = 0.97
"""More parts are used only if they take at most this fraction of the time of fewer."""


def prepare(source: Source, precision: EnginePrecision, folder: Path) -> None:
    """Convert, choose the number of parts, quantize for int8, compile and export."""
    with conversion_errors("OpenVINO"):
        parts = _best_parts(source, precision)
        model = source.openvino_model(source.batch // parts)
        if precision == "int8":

            def change(candidate: Any) -> float:
                return top1_change(_run(_compile(candidate, source, precision, parts), parts), source)

            model = quantized(model, source.batch // parts, source, change)
        compiled = _compile(model, source, precision, parts)
        (folder / FILE.format(parts)).write_bytes(compiled.export_model().getvalue())


def start(source: Source, precision: EnginePrecision, folder: Path) -> InferenceFunction:
    """Return an engine with one request per part; calls from several threads are serialized."""
    (file,) = folder.glob(FILE.format("*"))
    parts = int(file.stem.partition("-")[2])
    settings = _settings(source.threads, precision, parts)
    return _run(openvino_core().import_model(file.read_bytes(), "CPU", settings), parts)


def _best_parts(source: Source, precision: EnginePrecision) -> int:
    """Return the number of parts in which a batch is fastest, measured without quantization."""
    threads = source.threads
    possible = [1, *{threads // 2, threads, 2 * threads} - {0, 1}]
    tried = sorted(parts for parts in possible if source.batch % parts == 0)
    if len(tried) == 1:
        return 1
    images = torch.rand(source.shape, dtype=torch.float32, device="cpu")
    runs = {}
    for parts in tried:
        with nullcontext() if parts == 1 else suppress(Exception):  # a graph with a constant batch size
            model = source.openvino_model(source.batch // parts)
            runs[str(parts)] = partial(_run(_compile(model, source, precision, parts), parts), images)
    ms = take_turns(runs)
    best = 1
    for parts in tried[1:]:
        if ms.get(str(parts), math.inf) < GAIN * ms[str(best)]:
            best = parts
    return best


def _compile(model: Any, source: Source, precision: EnginePrecision, parts: int) -> Any:
    return openvino_core().compile_model(model, "CPU", _settings(source.threads, precision, parts))


def _run(compiled: Any, parts: int) -> InferenceFunction:
    requests = [compiled.create_infer_request() for _ in range(parts)]
    lock = threading.Lock()

    def call(images: Tensor) -> Tensor:
        array = images.contiguous().numpy()
        with lock:  # the output is copied before the next call overwrites it
            requests[0].infer(array, share_inputs=True, share_outputs=True)
            return torch.from_numpy(requests[0].get_output_tensor(0).data.copy())

    def call_in_parts(images: Tensor) -> Tensor:
        chunks = images.contiguous().chunk(parts)
        with lock:
            with ExitStack() as waiting:  # for all, also if one fails
                for request, chunk in zip(requests, chunks, strict=True):
                    request.start_async(chunk.numpy(), share_inputs=True)
                    waiting.callback(request.wait)
            outputs = [torch.from_numpy(request.get_output_tensor(0).data) for request in requests]
            return torch.cat(outputs)

    return call if parts == 1 else call_in_parts


def _settings(threads: int, precision: EnginePrecision, parts: int) -> dict[str, Any]:
    low = precision == "bf16" or (precision == "int8" and has_bf16())  # for the layers that are not in int8
    return {
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, with all threads
        "NUM_STREAMS": str(min(parts, threads)),
        "INFERENCE_PRECISION_HINT": "bf16" if low else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # pinned, several processes would compete for the first cores
        "CPU_DENORMALS_OPTIMIZATION": True,
    }
