"""Convert a module for the browser, store its weights small, and compare its outputs with PyTorch's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightcars.deploy.execution import without_autocast
from lightcars.deploy.graphs import INPUT
from lightcars.deploy.packages import require
from lightcars.deploy.verification import TOLERANCES
from lightcars.errors import ExportError
from lightcars.models.preprocessing import Preprocessing
from lightcars.web.graph import web_onnx
from lightcars.web.storage import STORAGES, Storage, store

STORED_LIMITS: Mapping[Storage, float] = {"int8": 0.25, "fp16": 0.02}
"""By how much outputs of stored weights may differ from PyTorch's, as a fraction of the largest one."""
_IMAGES = 2
"""Random images to compare outputs with."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A model in ONNX.

    Attributes:
        content: of the file.
        difference: largest difference from PyTorch's outputs, as a fraction of the largest one, before the
            weights were stored smaller.
        stored_difference: the same of the stored model.
    """

    content: bytes
    difference: float
    stored_difference: float


@torch.no_grad()
def convert(
    module: nn.Module,
    outputs: Sequence[str],
    preprocessing: Preprocessing,
    entries: Mapping[str, str],
    storage: Storage,
) -> Converted:
    """Return a module in ONNX, after running it in ONNX Runtime.

    Args:
        module: takes one image; on the CPU, in float32 and evaluation mode.
        outputs: their names.
        preprocessing: of its input.
        entries: metadata of the file.
        storage: of its weights.

    Raises:
        ExportError: it cannot be converted, or its outputs do not match.
    """
    channels, side = len(preprocessing.mean), preprocessing.resolution
    proto = web_onnx(module, outputs, channels, side)
    for key, value in entries.items():
        proto.metadata_props.add(key=key, value=value)
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn((1, channels, side, side), generator=generator) for _ in range(_IMAGES)]
    with without_autocast():
        expected = [_tensors(module(image)) for image in images]
    difference = _difference(proto, images, expected)
    if not difference <= TOLERANCES["fp32"]:  # also if it is NaN
        raise ExportError(
            f"the outputs of ONNX Runtime differ from PyTorch's by {difference:.1e} of the largest one (the"
            f" limit is {TOLERANCES['fp32']:.0e}); nothing was written."
        )
    if storage == "fp32":
        return Converted(proto.SerializeToString(), difference, difference)
    store(proto, storage)
    stored = _difference(proto, images, expected)
    if not stored <= STORED_LIMITS[storage]:
        other = STORAGES[STORAGES.index(storage) + 1]
        raise ExportError(
            f"with weights in {storage} the outputs differ by {stored:.1e} of the largest one (the limit is"
            f" {STORED_LIMITS[storage]:g}); nothing was written. Take {other}."
        )
    return Converted(proto.SerializeToString(), difference, stored)


def _tensors(outputs: Any) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _difference(proto: Any, images: list[Tensor], expected: list[tuple[Tensor, ...]]) -> float:
    """Return the largest difference of any output, as a fraction of its largest value."""
    onnxruntime = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    differences = []
    for image, outputs in zip(images, expected, strict=True):
        got = session.run(None, {INPUT: image.numpy()})
        for output, values in zip(outputs, got, strict=True):
            size = output.abs().max().clamp_min(1e-30)
            differences.append((torch.from_numpy(values) - output).abs().max() / size)
    return float(torch.stack(differences).max())
