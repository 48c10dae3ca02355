"""timm's model in the engines available to its users, each set up as its documentation advises.

Each function takes timm's model in evaluation mode, contiguous images of float32 and the worker's task, and
returns the timed call, whose output is logits, a tensor or an array. Converted models are kept in the task's
folder, and torch.compile's artifacts in its own cache, so that later rounds start quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

PeerEngine = Callable[["nn.Module", "Tensor", Mapping[str, Any]], Callable[[], Any]]


def with_compile(
    model: nn.Module,
    images: Tensor,
    task: Mapping[str, Any],  # noqa: ARG001 - all engines are called alike
    *,
    bf16: bool,
) -> Callable[[], Any]:
    """Set up `torch.compile` as in PyTorch's tutorial on max-autotune for CPUs: frozen, no gradients.

    In channels_last, as PyTorch advises for convolutions on a CPU, and in autocast if in bf16.
    """
    import torch
    from torch._inductor import config

    config.freezing = True
    compiled = torch.compile(model.to(memory_format=torch.channels_last), mode="max-autotune")
    ready = images.to(memory_format=torch.channels_last)

    def call() -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return compiled(ready)

    return call


def with_onnxruntime(model: nn.Module, images: Tensor, task: Mapping[str, Any]) -> Callable[[], Any]:
    """Set up ONNX Runtime with its default optimizations, on a file of `torch.onnx.export`."""
    import onnxruntime
    import torch

    file = _artifact(task, "timm.onnx")
    if not file.exists():
        torch.onnx.export(model, (images,), dynamo=True, verbose=False).save(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task["threads"]
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: images.numpy()}
    return lambda: session.run(None, given)[0]


def with_openvino(model: nn.Module, images: Tensor, task: Mapping[str, Any]) -> Callable[[], Any]:
    """Set up OpenVINO for this shape, with the latency hint, in bf16 where the CPU has it."""
    import openvino

    from lightcars.deploy.cpu import has_bf16

    file = _artifact(task, "timm.xml")
    if not file.exists():
        converted = openvino.convert_model(model, example_input=images, input=list(images.shape))
        openvino.save_model(converted, file, compress_to_fp16=False)
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if has_bf16() else "f32",
        "INFERENCE_NUM_THREADS": task["threads"],
    }
    compiled = openvino.compile_model(file, "CPU", settings)
    array = images.numpy()
    return lambda: compiled(array)[0]


def _artifact(task: Mapping[str, Any], name: str) -> Path:
    folder = Path(task["weights"]) / f"batch{task['batch']}"
    folder.mkdir(exist_ok=True)
    return folder / name


COMPILE_BF16 = "timm compile bf16"
ENGINES: Mapping[str, PeerEngine] = {
    "timm compile": partial(with_compile, bf16=False),
    COMPILE_BF16: partial(with_compile, bf16=True),
    "timm onnxruntime": with_onnxruntime,
    "timm openvino": with_openvino,
}
"""Side -> function that sets it up."""
