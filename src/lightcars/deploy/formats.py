"""The formats that `export` writes, in one table. No torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from lightcars.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch.export import ExportedProgram

    from lightcars.deploy.engines import Engine


class Artifact(Protocol):
    """What each file in `artifacts/` has."""

    def write(self, program: ExportedProgram, path: Path, entries: Mapping[str, str]) -> None:
        """Converts, and writes one artifact with its metadata."""

    def run(self, path: Path) -> Engine:
        """The artifact in its own engine."""

    def read_entries(self, path: Path) -> dict[str, str]:
        """The metadata of an artifact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        name: after `--to`.
        engine: that runs it, for people.
        suffix: of the artifact's file.
        second_suffix: of a file beside it that belongs to it.
        packages: modules that writing and running it need.
        largest_batch, largest_side: of sizes left open; where memory is planned for them, no larger than
            what a phone has room for.
    """

    name: str
    engine: str
    suffix: str
    second_suffix: str | None = None
    packages: tuple[str, ...] = ()
    largest_batch: int = 65_536
    largest_side: int = 16_384

    def files(self, path: Path) -> tuple[Path, ...]:
        """All files of the artifact at `path`."""
        return (path,) if self.second_suffix is None else (path, path.with_suffix(self.second_suffix))

    @property
    def artifact(self) -> Artifact:
        """The code that writes and runs it."""
        module = f"lightcars.deploy.artifacts.{self.name.replace('-', '_')}"
        return cast(Artifact, importlib.import_module(module))


FORMATS = {
    row.name: row
    for row in (
        Format(
            name="onnx",
            engine="ONNX Runtime",
            suffix=".onnx",
            packages=("onnx", "onnxscript", "onnxruntime"),
        ),
        Format(
            name="openvino",
            engine="OpenVINO",
            suffix=".xml",
            second_suffix=".bin",
            packages=("openvino",),
        ),
        Format(name="torch-export", engine="torch.export", suffix=".pt2"),
        Format(
            name="executorch",
            engine="ExecuTorch",
            suffix=".pte",
            packages=("executorch.exir", "executorch.runtime"),
            largest_batch=8,
            largest_side=1024,
        ),
    )
}


def find_format(name: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in FORMATS:
        raise ConfigError(
            f"there is no format {name!r}.{did_you_mean(name, FORMATS)} Choose {', '.join(FORMATS)}."
        )
    return FORMATS[name]


def format_of(path: Path) -> Format:
    """The format that a file's ending says.

    Raises:
        ConfigError: none has that ending.
    """
    for row in FORMATS.values():
        if path.suffix == row.suffix:
            return row
    endings = ", ".join(f"{row.suffix} ({row.name})" for row in FORMATS.values())
    raise ConfigError(f"the ending of {path} says no format; use one of {endings}.")
