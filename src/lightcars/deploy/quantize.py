"""Post-training int8 quantization with NNCF, calibrated on images and verified by top-1 accuracy."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightcars.deploy.packages import InferenceFunction, quietly, require
from lightcars.deploy.source import Source


@dataclass(frozen=True, slots=True)
class Attempt:
    """One quantization setting.

    Attributes:
        preset: of NNCF: "PERFORMANCE" is symmetric, "MIXED" has asymmetric activations.
        kept: types of OpenVINO's operators that stay in higher precision.
    """

    preset: str
    kept: tuple[str, ...] = ()


_DENSE = "MatMul"
"""The layers inside squeeze-and-excitation, and the head."""
_SCALED = "Multiply"
"""The scaling by squeeze-and-excitation."""
_DEPTHWISE = "GroupConvolution"

ATTEMPTS = (
    Attempt("PERFORMANCE"),
    Attempt("PERFORMANCE", (_DENSE,)),
    Attempt("MIXED"),
    Attempt("PERFORMANCE", (_DENSE, _SCALED)),
    Attempt("MIXED", (_DENSE, _SCALED)),
    Attempt("MIXED", (_DENSE, _SCALED, _DEPTHWISE)),
)
"""From the fastest to the most accurate, measured with B0 and GhostNet; the first good enough is used."""


def quantized(converted: Any, batch: int, source: Source, change: Callable[[Any], float]) -> Any:
    """Return an int8 copy of a converted model whose loss of top-1 accuracy is within the limit.

    The first attempt quantizes all layers, with scales fitted to the calibration images. As long as the loss
    is too large, further attempts keep more types of layers in higher precision. If all attempts lose too
    much, the one with the smallest loss is returned.

    Args:
        converted: openvino.Model with one input.
        batch: its batch size.
        source: the model with its calibration.
        change: returns the change in top-1 of a quantized model, in percentage points.

    Raises:
        MissingExtraError: nncf is not installed.
    """
    nncf = require_nncf()
    assert source.calibration is not None
    images = source.calibration_images
    fitted = [part.numpy() for part in images.batches(images.fitted, batch)]
    found: list[tuple[float, Any]] = []
    for attempt in ATTEMPTS:
        with quietly(), _kept_signal_stack(), contextlib.redirect_stdout(io.StringIO()):
            candidate = nncf.quantize(
                converted,
                nncf.Dataset(fitted),
                subset_size=len(fitted),
                preset=nncf.QuantizationPreset[attempt.preset],
                target_device=nncf.TargetDevice.CPU,
                ignored_scope=nncf.IgnoredScope(types=list(attempt.kept), validate=False),
            )
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
