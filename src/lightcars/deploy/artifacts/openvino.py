"""OpenVINO: an .xml file with the graph and a .bin file with the weights; both are needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.export import ExportedProgram

from lightcars.deploy.graphs import OUTPUT, program_to_openvino
from lightcars.deploy.packages import InferenceFunction, openvino_core, require

SECTION = "lightcars"
"""Section of the model's `rt_info` that holds the metadata."""


def write(program: ExportedProgram, path: Path, entries: Mapping[str, str]) -> None:
    """Convert and write graph and weights in float32; `entries` go into `rt_info`."""
    openvino = require("openvino")
    model = program_to_openvino(program)
    for key, value in entries.items():
        model.set_rt_info(value, [SECTION, key])
    openvino.save_model(model, path, compress_to_fp16=False)


def run(path: Path) -> InferenceFunction:
    """Load the model in OpenVINO, on the CPU, in float32 even where bfloat16 is OpenVINO's default."""
    import torch

    compiled = openvino_core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def call(images: Tensor) -> Tensor:
        return torch.from_numpy(compiled(images.numpy())[OUTPUT])

    return call


def read_entries(path: Path) -> dict[str, str]:
    """Return the metadata of an artifact."""
    model = openvino_core().read_model(path)
    if not model.has_rt_info(SECTION):
        return {}
    return {key: value.astype(str) for key, value in model.get_rt_info(SECTION).astype(dict).items()}
