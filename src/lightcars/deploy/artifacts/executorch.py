"""ExecuTorch's .pte file for phones, with XNNPACK's operators where available."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from torch import Tensor
from torch.export import ExportedProgram

from lightcars.deploy.conversion import conversion_errors
from lightcars.deploy.description import Description
from lightcars.deploy.formats import ExportPrecision
from lightcars.deploy.packages import InferenceFunction, quietly, require
from lightcars.deploy.source import Source


def write(
    program: ExportedProgram,
    path: Path,
    entries: Mapping[str, str],
    *,
    precision: ExportPrecision = "fp32",  # noqa: ARG001 - that of the program
    source: Source | None = None,  # noqa: ARG001 - there is no int8
) -> None:
    """Convert and write the program; `entries` become methods without arguments that return them."""
    exir = require("executorch.exir")
    xnnpack = require("executorch.backends.xnnpack.partition.xnnpack_partitioner")
    # Java reads modified UTF-8, which equals ASCII for ASCII.
    methods = {key: json.dumps(json.loads(text)) for key, text in entries.items()}
    with conversion_errors("ExecuTorch"), quietly():
        lowered = exir.to_edge_transform_and_lower(
            program, partitioner=[xnnpack.XnnpackPartitioner()], constant_methods=methods
        )
        content = lowered.to_executorch().buffer
    path.write_bytes(content)


def run(path: Path) -> InferenceFunction:
    """Load the program in ExecuTorch's own runtime, on this machine's CPU."""
    program = require("executorch.runtime").Runtime.get().load_program(path)
    method = program.load_method("forward")

    def call(images: Tensor) -> Tensor:
        return cast(Tensor, method.execute([images])[0]).clone()

    return call


def read_entries(path: Path) -> dict[str, str]:
    """Return the metadata of an artifact."""
    program = require("executorch.runtime").Runtime.get().load_program(path)
    names = [name for name in Description.__slots__ if name in program.method_names]
    return {name: cast(str, program.load_method(name).execute([])[0]) for name in names}
