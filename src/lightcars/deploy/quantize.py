"""Post-training quantization to int8 by NNCF, fitted to photographs, judged by top-1."""

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

from lightcars.deploy.engines import Engine, quietly, require
from lightcars.deploy.source import Source


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to quantize.

    Attributes:
        preset: of NNCF: "PERFORMANCE" is symmetric, "MIXED" lets activations have a zero of their own.
        kept: types of OpenVINO's operators that stay in higher precision.
    """

    preset: str
    kept: tuple[str, ...] = ()


_DENSE = "MatMul"
"""The layers inside squeeze-excite, and the head."""
_SCALED = "Multiply"
"""What squeeze-excite scales."""
_DEPTHWISE = "GroupConvolution"

ATTEMPTS = (
    Attempt("PERFORMANCE"),
    Attempt("PERFORMANCE", (_DENSE,)),
    Attempt("MIXED"),
    Attempt("PERFORMANCE", (_DENSE, _SCALED)),
    Attempt("MIXED", (_DENSE, _SCALED)),
    Attempt("MIXED", (_DENSE, _SCALED, _DEPTHWISE)),
)
"""From the fastest to the most exact, as measured with B0 and GhostNet; the first that serves is taken."""


def quantized(converted: Any, batch: int, source: Source, change: Callable[[Any], float]) -> Any:
    """A copy of a converted model that computes in int8 wherever that costs no more top-1 than allowed.

    Everything is quantized first, with scales fitted to photographs. While that loses too much, more and more
    kinds of layers stay in higher precision; where all attempts do, it is the one that loses least.

    Args:
        converted: openvino.Model of one input.
        batch: images that it takes at once.
        source: with its calibration.
        change: what a quantized model changes in top-1, in points, as it will run.

    Raises:
        MissingExtraError: nncf is not installed.
    """
    nncf = require_nncf()
    assert source.calibration is not None
    fitted = [images.numpy() for images in source.photos.batches(source.photos.fitted, batch)]
    found: list[tuple[float, Any]] = []
    for attempt in ATTEMPTS:
        with quietly(), _kept_signal_stack(), contextlib.redirect_stdout(io.StringIO()):
            made = nncf.quantize(
                converted,
                nncf.Dataset(fitted),
                subset_size=len(fitted),
                preset=nncf.QuantizationPreset[attempt.preset],
                target_device=nncf.TargetDevice.CPU,
                ignored_scope=nncf.IgnoredScope(types=list(attempt.kept), validate=False),
            )
        found.append((change(made), made))
        if found[-1][0] >= -source.calibration.max_loss_percent:
            break
    return max(found, key=lambda pair: pair[0])[1]


@torch.inference_mode()
def top1_change(engine: Engine, source: Source) -> float:
    """Points of top-1 by which an engine is better than the model on the judged photographs."""
    batches = source.photos.batches(source.photos.judged, source.batch)
    answers = torch.cat([engine(images).argmax(1) for images in batches])[: len(source.targets)]
    return _percent(answers == source.targets) - _percent(source.first_classes == source.targets)


def _percent(right: Tensor) -> float:
    return 100 * float(right.float().mean())


def require_nncf() -> Any:
    """NNCF, told not to send notes to its makers.

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
    """Puts the thread's stack for signal handlers back; NNCF makes OpenVINO cores, see `openvino_core`."""
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
