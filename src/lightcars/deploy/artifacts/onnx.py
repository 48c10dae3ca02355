"""ONNX: one file, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor
from torch.export import ExportedProgram

from lightcars.deploy.graphs import INPUT, OUTPUT, program_to_onnx
from lightcars.deploy.packages import InferenceFunction, require


def write(program: ExportedProgram, path: Path, entries: Mapping[str, str]) -> None:
    """Convert and write the model with `entries` as its metadata."""
    proto = program_to_onnx(program)
    for key, value in entries.items():
        proto.metadata_props.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())


def run(path: Path) -> InferenceFunction:
    """Load the model in ONNX Runtime, on the CPU."""
    import torch

    session = _session(path)

    def call(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])

    return call


def read_entries(path: Path) -> dict[str, str]:
    """Return the metadata of an artifact."""
    return cast(dict[str, str], _session(path).get_modelmeta().custom_metadata_map)


def _session(path: Path) -> Any:
    onnxruntime = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
