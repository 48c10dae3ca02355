"""OpenVINO: an .xml file with the graph and a .bin file with the weights; both are needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.export import ExportedProgram

from lightcars.deploy.conversion import conversion_errors
from lightcars.deploy.formats import ExportPrecision
from lightcars.deploy.graphs import OUTPUT, program_to_openvino
from lightcars.deploy.packages import InferenceFunction, openvino_core, require
from lightcars.deploy.quantize import quantized, top1_change
from lightcars.deploy.source import Source

SECTION = "lightcars"
"""Section of the model's `rt_info` that holds the metadata."""


def write(
    program: ExportedProgram,
    path: Path,
    entries: Mapping[str, str],
    *,
    precision: ExportPrecision = "fp32",
    source: Source | None = None,
) -> None:
    """Convert and write graph and weights; `entries` go into `rt_info`.

    With fp16 the weights are stored in float16, and the engine chooses in which precision it computes.
    """
    openvino = require("openvino")
    model = program_to_openvino(program)
    if precision == "int8":
        model = _in_int8(model, source)
    for key, value in entries.items():
        model.set_rt_info(value, [SECTION, key])
    openvino.save_model(model, path, compress_to_fp16=precision == "fp16")


def run(path: Path) -> InferenceFunction:
    """Load the model in OpenVINO, on the CPU, in float32 even where bfloat16 is OpenVINO's default.

    Layers that are quantized are computed in int8 nevertheless.
    """
    return _engine(path)


def read_entries(path: Path) -> dict[str, str]:
    """Return the metadata of an artifact."""
    model = openvino_core().read_model(path)
    if not model.has_rt_info(SECTION):
        return {}
    return {key: value.astype(str) for key, value in model.get_rt_info(SECTION).astype(dict).items()}


def _in_int8(model: Any, source: Source | None) -> Any:
    assert source is not None
    with conversion_errors("OpenVINO"):
        return quantized(
            model, source.batch, source, lambda candidate: top1_change(_engine(candidate), source)
        )


def _engine(model: Any) -> InferenceFunction:
    import torch

    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def call(images: Tensor) -> Tensor:
        return torch.from_numpy(compiled(images.contiguous().numpy())[OUTPUT])

    return call
