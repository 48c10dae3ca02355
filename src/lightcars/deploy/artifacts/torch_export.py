"""torch.export's .pt2 file: any PyTorch runs or compiles it, without lightcars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch.export import ExportedProgram

from lightcars.deploy.description import Description
from lightcars.deploy.engines import Engine
from lightcars.deploy.graphs import refusals


def write(program: ExportedProgram, path: Path, entries: Mapping[str, str]) -> None:
    """Writes the program, with `entries` as extra files."""
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    with refusals("torch.export"), path.open("wb") as file:
        torch.export.save(program, file, extra_files=dict(entries))


def run(path: Path) -> Engine:
    """The program as PyTorch runs it."""
    with path.open("rb") as file:
        module = torch.export.load(file).module()
    return cast(Engine, torch.no_grad()(module))


def read_entries(path: Path) -> dict[str, str]:
    """The metadata of an artifact."""
    entries = dict.fromkeys(Description.__slots__, "")
    with path.open("rb") as file:
        torch.export.load(file, extra_files=entries)
    return {key: value for key, value in entries.items() if value}
