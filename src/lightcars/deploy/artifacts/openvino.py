"""OpenVINO: an .xml file with the graph and a .bin file with the weights, both needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.export import ExportedProgram

from lightcars.deploy.engines import Engine, openvino_core, require
from lightcars.deploy.graphs import OUTPUT, program_to_openvino

SECTION = "lightcars"
"""Of the model's `rt_info`, where the metadata is."""


def write(program: ExportedProgram, path: Path, entries: Mapping[str, str]) -> None:
    """Converts, and writes graph and weights, in float32; `entries` go into `rt_info`."""
    openvino = require("openvino")
    model = program_to_openvino(program)
    for key, value in entries.items():
        model.set_rt_info(value, [SECTION, key])
    openvino.save_model(model, path, compress_to_fp16=False)


def run(path: Path) -> Engine:
    """The model in OpenVINO, on the CPU, in float32 where the processor would rather take bfloat16."""
    import torch

    compiled = openvino_core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def call(images: Tensor) -> Tensor:
        return torch.from_numpy(compiled(images.numpy())[OUTPUT])

    return call


def read_entries(path: Path) -> dict[str, str]:
    """The metadata of an artifact."""
    model = openvino_core().read_model(path)
    if not model.has_rt_info(SECTION):
        return {}
    return {key: value.astype(str) for key, value in model.get_rt_info(SECTION).astype(dict).items()}
