"""Post-training int8 quantization with NNCF, calibrated on images and verified by top-1 accuracy."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from lightcars.deploy.packages import InferenceFunction, quietly, require
from lightcars.deploy.source import Source

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One quantization setting.

    Attributes:
        preset: of NNCF: "PERFORMANCE" is symmetric, "MIXED" has asymmetric activations.
        kept: types of OpenVINO's operators that stay in higher precision.
    """

    preset: str
    kept: tuple[str, ...] = ()


DENSE = "MatMul"
"""The layers inside squeeze-and-excitation, and the head."""
SCALED = "Multiply"
"""The scaling by squeeze-and-excitation."""
DEPTHWISE = "GroupConvolution"

ATTEMPTS = (
    Attempt("PERFORMANCE"),
    Attempt("PERFORMANCE", (DENSE,)),
    Attempt("MIXED"),
    Attempt("PERFORMANCE", (DENSE, SCALED)),
    Attempt("MIXED", (DENSE, SCALED)),
    Attempt("MIXED", (DENSE, SCALED, DEPTHWISE)),
)
"""From the fastest to the most accurate, measured with B0 and GhostNet; the first good enough is used."""


@dataclass(frozen=True, slots=True)
class ModelForm:
    """What NNCF needs to know about a kind of converted model.

    Attributes:
        scope: (nncf, model, types of OpenVINO's operators) -> `nncf.IgnoredScope` of those operators.
        feed: converts a normalized batch, (N, C, H, W), to what the model takes.
    """

    scope: Callable[[Any, Any, tuple[str, ...]], Any]
    feed: Callable[[Tensor], Any]


def _openvino_scope(nncf: Any, _: Any, types: tuple[str, ...]) -> Any:
    return nncf.IgnoredScope(types=list(types), validate=False)


def _onnx_scope(nncf: Any, proto: Any, types: tuple[str, ...]) -> Any:
    names = [node.name for node in proto.graph.node if _openvino_type(node) in types]
    return nncf.IgnoredScope(names=names, validate=False)


def _openvino_type(node: Any) -> str:
    """Return the type of OpenVINO's operator that computes the same as a node of ONNX."""
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    if node.op_type == "Conv" and groups > 1:
        return DEPTHWISE
    return {"Gemm": DENSE, "Mul": SCALED}.get(node.op_type, str(node.op_type))


OPENVINO_FORM = ModelForm(_openvino_scope, Tensor.numpy)
ONNX_FORM = ModelForm(_onnx_scope, lambda images: {"images": images.numpy()})


def quantized(
    converted: Any,
    batch: int,
    source: Source,
    change: Callable[[Any], float],
    form: ModelForm = OPENVINO_FORM,
) -> Any:
    """Return an int8 copy of a converted model whose loss of top-1 accuracy is within the limit.

    The first attempt quantizes all layers, with scales fitted to the calibration images. As long as the loss
    is too large, further attempts keep more types of layers in higher precision. If all attempts lose too
    much, the one with the smallest loss is returned.

    Args:
        converted: openvino.Model or onnx.ModelProto with one input, `images`.
        batch: its batch size, or any where that is dynamic.
        source: the model with its calibration.
        change: returns the change in top-1 of a quantized model, in percentage points.
        form: of the converted model.

    Raises:
        MissingExtraError: nncf is not installed.
    """
    nncf = require_nncf()
    images = source.calibration_images
    fitted = [form.feed(part) for part in images.batches(images.fitted, batch)]

    def quantize(attempt: Attempt) -> Any:
        with quietly(), _kept_signal_stack(), contextlib.redirect_stdout(io.StringIO()):
            return nncf.quantize(
                converted,
                nncf.Dataset(fitted),
                subset_size=len(fitted),
                preset=nncf.QuantizationPreset[attempt.preset],
                target_device=nncf.TargetDevice.CPU,
                ignored_scope=form.scope(nncf, converted, attempt.kept),
            )

    return best_attempt(quantize, change, source)


def best_attempt(quantize: Callable[[Attempt], T], change: Callable[[T], float], source: Source) -> T:
    """Return the model of the first attempt that loses no more than is allowed, else of the best one."""
    assert source.calibration is not None
    found: list[tuple[float, T]] = []
    for attempt in ATTEMPTS:
        candidate = quantize(attempt)
        found.append((change(candidate), candidate))
        if found[-1][0] >= -source.calibration.max_loss_percent:
            break
    return max(found, key=lambda pair: pair[0])[1]


@torch.inference_mode()
def top1_change(engine: InferenceFunction, source: Source) -> float:
    """Return the top-1 of an engine minus the model's on the verification images, in percentage points."""
    batches = source.calibration_images.batches(source.calibration_images.verification, source.batch)
    predicted = torch.cat([engine(images).argmax(1) for images in batches])[: len(source.targets)]
    return _percent(predicted == source.targets) - _percent(source.top_classes == source.targets)


def _percent(correct: Tensor) -> float:
    return 100 * float(correct.float().mean())


def require_nncf() -> Any:
    """Import NNCF with its telemetry disabled.

    Raises:
        MissingExtraError: it is not installed.
    """
    before = os.environ.get("NNCF_CI")
    os.environ["NNCF_CI"] = "1"
    try:
        return require("nncf")
    finally:
        if before is None:
            del os.environ["NNCF_CI"]
        else:
            os.environ["NNCF_CI"] = before


class _SignalStack(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


@contextlib.contextmanager
def _kept_signal_stack() -> Iterator[None]:
    """Restore the thread's signal stack; NNCF creates OpenVINO cores, see `openvino_core`."""
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
