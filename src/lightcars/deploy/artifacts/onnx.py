"""ONNX: one file, run by ONNX Runtime."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor
from torch.export import ExportedProgram

from lightcars.deploy.conversion import conversion_errors
from lightcars.deploy.formats import ExportPrecision
from lightcars.deploy.graphs import INPUT, OUTPUT, program_to_onnx
from lightcars.deploy.packages import InferenceFunction, quietly, require
from lightcars.deploy.quantize import ONNX_FORM, quantized, top1_change
from lightcars.deploy.source import Source


def write(
    program: ExportedProgram,
    path: Path,
    entries: Mapping[str, str],
    *,
    precision: ExportPrecision = "fp32",
    source: Source | None = None,
) -> None:
    """Convert and write the model with `entries` as its metadata."""
    proto = program_to_onnx(program)
    if precision == "fp16":
        proto = _in_float16(proto)
    elif precision == "int8":
        proto = _in_int8(proto, source)
    del proto.metadata_props[:]
    for key, value in entries.items():
        proto.metadata_props.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())


def run(path: Path) -> InferenceFunction:
    """Load the model in ONNX Runtime, on the CPU."""
    return _engine(_session(path))


def read_entries(path: Path) -> dict[str, str]:
    """Return the metadata of an artifact."""
    return cast(dict[str, str], _session(path).get_modelmeta().custom_metadata_map)


def _in_float16(proto: Any) -> Any:
    """Return the model with float16 weights and activations, between casts of input and output."""
    before = list(sys.path)
    try:  # ONNX Runtime's tools append their own folder to sys.path
        converter = require("onnxruntime.transformers.float16")
        tools = require("onnxruntime.transformers.onnx_model")
    finally:
        sys.path[:] = before
    with conversion_errors("ONNX"), quietly():
        model = tools.OnnxModel(converter.convert_float_to_float16(proto, keep_io_types=True))
        model.topological_sort()  # the converter appends the casts
        require("onnx.checker").check_model(model.model, full_check=True)
        return model.model


def _in_int8(proto: Any, source: Source | None) -> Any:
    assert source is not None

    def change(candidate: Any) -> float:
        return top1_change(_engine(_session(candidate.SerializeToString())), source)

    with conversion_errors("ONNX"):
        return quantized(proto, source.batch, source, change, ONNX_FORM)


def _engine(session: Any) -> InferenceFunction:
    import torch

    def call(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: images.contiguous().numpy()})[0])

    return call


def _session(model: Path | bytes) -> Any:
    onnxruntime = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
