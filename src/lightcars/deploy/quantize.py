"""Post-training quantization to int8 by NNCF, fitted to photographs, judged by top-1."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from lightcars.deploy.engines import Engine, quietly, require
from lightcars.deploy.source import Source

RANKED_IMAGES = 64
"""By so many the layers are put in the order in which they go back to higher precision."""
HEADROOM = 0.5
"""Part of the loss allowed that NNCF may use up: it judges with the rest in float32, which runs in bf16."""
Item = tuple[Any, Any]
"""A batch as the converted model takes it, and the classes that are right."""


def quantized(converted: Any, source: Source, change: Callable[[Any], float]) -> Any:
    """A copy of a converted model that computes in int8 wherever that costs no more top-1 than allowed.

    First everything is quantized, with scales fitted to photographs. If that loses too much, NNCF finds out
    which layers change the logits most, and takes these back one after the other.

    Args:
        converted: openvino.Model of one input, for `source.batch` images.
        source: with its calibration.
        change: what a quantized model changes in top-1, in points, as it will run.

    Raises:
        MissingExtraError: nncf is not installed.
    """
    nncf = _nncf()
    assert source.calibration is not None
    fitted = [images.numpy() for images in source.photos.batches(source.photos.fitted, source.batch)]
    settings = {
        "preset": nncf.QuantizationPreset.PERFORMANCE,  # symmetric: up to a fifth faster than MIXED
        "target_device": nncf.TargetDevice.CPU,
        "subset_size": len(fitted),
    }
    with quietly(), _kept_signal_stack(), contextlib.redirect_stdout(io.StringIO()):
        everything = nncf.quantize(converted, nncf.Dataset(fitted), **settings)
        if change(everything) >= -source.calibration.max_loss_percent:
            return everything
        return nncf.quantize_with_accuracy_control(
            converted,
            nncf.Dataset(fitted),
            nncf.Dataset(list(_judged(source)), lambda item: item[0]),
            _validate,
            max_drop=HEADROOM * source.calibration.max_loss_percent / 100,
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                ranking_subset_size=max(1, RANKED_IMAGES // source.batch)
            ),
            **settings,
        )


@torch.inference_mode()
def top1_change(engine: Engine, source: Source) -> float:
    """Points of top-1 by which an engine is better than the model on the judged photographs."""
    batches = source.photos.batches(source.photos.judged, source.batch)
    answers = torch.cat([engine(images).argmax(1) for images in batches])[: len(source.targets)]
    return _percent(answers == source.targets) - _percent(source.first_classes == source.targets)


def _percent(right: Tensor) -> float:
    return 100 * float(right.float().mean())


def _validate(compiled: Any, items: Iterable[Item]) -> tuple[float, list[list[Any]]]:
    """The mean probability of the right class, and the logits, by which NNCF ranks the layers.

    Top-1 itself moves in steps, and NNCF ranks all layers anew, for a minute, whenever one of them is wrong.
    """
    right = []
    logits = []
    for images, targets in items:
        answer = next(iter(compiled(images).values()))
        probabilities = torch.from_numpy(answer).softmax(1)[: len(targets)]
        right.append(probabilities.gather(1, targets[:, None])[:, 0])
        logits.append([answer])
    return float(torch.cat(right).mean()), logits


def _judged(source: Source) -> Iterator[Item]:
    batches = source.photos.batches(source.photos.judged, source.batch)
    for images, targets in zip(batches, source.targets.split(source.batch), strict=True):
        yield images.numpy(), targets


def _nncf() -> Any:
    """NNCF, told not to send notes to its makers."""
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
