"""OpenVINO on the processor. What is kept is the model as compiled for this machine.

Several images at once may be quicker in parts that run side by side, each in a stream of its own: what a part
needs between two layers stays in a core's cache, and threads wait for each other once instead of in every
layer. How many parts is measured.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightcars.deploy.cpu import has_bf16
from lightcars.deploy.engines import Engine, openvino_core
from lightcars.deploy.graphs import refusals
from lightcars.deploy.measuring import take_turns
from lightcars.deploy.quantize import quantized, top1_change
from lightcars.deploy.runners import Precision
from lightcars.deploy.source import Source

FILE = "parts-{}.blob"
GAIN = 0.97
"""More parts are taken if they need at most so much of the time of fewer."""


def prepare(source: Source, precision: Precision, folder: Path) -> None:
    """Converts, measures in how many parts, quantizes if that is wanted, compiles and exports."""
    with refusals("OpenVINO"):
        parts = _best_parts(source, precision)
        model = source.openvino_model(source.batch // parts)
        if precision == "int8":

            def change(made: Any) -> float:
                return top1_change(_run(_compile(made, source, precision, parts), parts), source)

            model = quantized(model, source.batch // parts, source, change)
        compiled = _compile(model, source, precision, parts)
        (folder / FILE.format(parts)).write_bytes(compiled.export_model().getvalue())


def start(source: Source, precision: Precision, folder: Path) -> Engine:
    """A request on the compiled model for each part; calls from several threads wait for each other."""
    (file,) = folder.glob(FILE.format("*"))
    parts = int(file.stem.partition("-")[2])
    settings = _settings(source.threads, precision, parts)
    return _run(openvino_core().import_model(file.read_bytes(), "CPU", settings), parts)


def _best_parts(source: Source, precision: Precision) -> int:
    """In how many parts a batch is quickest, as long as nothing is quantized."""
    threads = source.threads
    open_to_us = [1, *{threads // 2, threads, 2 * threads} - {0, 1}]
    tried = sorted(parts for parts in open_to_us if source.batch % parts == 0)
    if len(tried) == 1:
        return 1
    images = torch.rand(source.shape, dtype=torch.float32, device="cpu")
    runs = {
        parts: _run(_compile(source.openvino_model(source.batch // parts), source, precision, parts), parts)
        for parts in tried
    }
    ms = take_turns({str(parts): partial(run, images) for parts, run in runs.items()})
    best = 1
    for parts in tried[1:]:
        if ms[str(parts)] < GAIN * ms[str(best)]:
            best = parts
    return best


def _compile(model: Any, source: Source, precision: Precision, parts: int) -> Any:
    return openvino_core().compile_model(model, "CPU", _settings(source.threads, precision, parts))


def _run(compiled: Any, parts: int) -> Engine:
    requests = [compiled.create_infer_request() for _ in range(parts)]
    lock = threading.Lock()

    def call(images: Tensor) -> Tensor:
        array = images.contiguous().numpy()
        with lock:  # the answer is copied before the next call overwrites it
            requests[0].infer(array, share_inputs=True, share_outputs=True)
            return torch.from_numpy(requests[0].get_output_tensor(0).data.copy())

    def call_in_parts(images: Tensor) -> Tensor:
        shares = images.contiguous().chunk(parts)
        with lock:
            with ExitStack() as awaited:  # all, also if one fails
                for request, share in zip(requests, shares, strict=True):
                    request.start_async(share.numpy(), share_inputs=True)
                    awaited.callback(request.wait)
            answers = [torch.from_numpy(request.get_output_tensor(0).data) for request in requests]
            return torch.cat(answers)

    return call if parts == 1 else call_in_parts


def _settings(threads: int, precision: Precision, parts: int) -> dict[str, Any]:
    low = precision == "bf16" or (precision == "int8" and has_bf16())  # there for what is not in int8
    return {
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, with all threads
        "NUM_STREAMS": str(min(parts, threads)),
        "INFERENCE_PRECISION_HINT": "bf16" if low else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # pinned, several processes would share the first cores
        "CPU_DENORMALS_OPTIMIZATION": True,
    }
