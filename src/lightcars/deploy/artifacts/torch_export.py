"""torch.export's .pt2 file: PyTorch loads and compiles it without lightcars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch.export import ExportedProgram

from lightcars.deploy.conversion import conversion_errors
from lightcars.deploy.description import Description
from lightcars.deploy.formats import ExportPrecision
from lightcars.deploy.packages import InferenceFunction
from lightcars.deploy.source import Source


def write(
    program: ExportedProgram,
    path: Path,
    entries: Mapping[str, str],
    *,
    precision: ExportPrecision = "fp32",  # noqa: ARG001 - that of the program
    source: Source | None = None,  # noqa: ARG001 - there is no int8
) -> None:
    """Write the program, with `entries` as extra files."""
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    with conversion_errors("torch.export"), path.open("wb") as file:
        torch.export.save(program, file, extra_files=dict(entries))


def run(path: Path) -> InferenceFunction:
    """Load the program in PyTorch."""
    with path.open("rb") as file:
        module = torch.export.load(file).module()
    return cast(InferenceFunction, torch.no_grad()(module))


def read_entries(path: Path) -> dict[str, str]:
    """Return the metadata of an artifact."""
    entries = dict.fromkeys(Description.__slots__, "")
    with path.open("rb") as file:
        torch.export.load(file, extra_files=entries)
    return {key: value for key, value in entries.items() if value}
