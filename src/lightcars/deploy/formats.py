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

    from lightcars.deploy.packages import InferenceFunction


class Artifact(Protocol):
    """Interface of the modules in `artifacts/`."""

    def write(self, program: ExportedProgram, path: Path, entries: Mapping[str, str]) -> None:
        """Convert the program and write one artifact with its metadata."""

    def run(self, path: Path) -> InferenceFunction:
        """Load the artifact in its own engine."""

    def read_entries(self, path: Path) -> dict[str, str]:
        """Return the metadata of an artifact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One export format.

    Attributes:
        name: the value of `--to`.
        engine: display name of the engine that runs it.
        suffix: of the artifact's file.
        second_suffix: of a second file that belongs to the artifact.
        packages: modules that writing and running it need.
        largest_batch, largest_side: upper bounds of dynamic sizes; small where the engine plans memory for
            the largest input.
    """

    name: str
    engine: str
    suffix: str
    second_suffix: str | None = None
    packages: tuple[str, ...] = ()
    largest_batch: int = 65_536
    largest_side: int = 16_384

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return all files of the artifact at `path`."""
        return (path,) if self.second_suffix is None else (path, path.with_suffix(self.second_suffix))

    @property
    def artifact(self) -> Artifact:
        """The module that writes and runs it."""
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
    """Return the format with a given name.

    Raises:
        ConfigError: unknown name.
    """
    if name not in FORMATS:
        raise ConfigError(
            f"unknown format {name!r}.{did_you_mean(name, FORMATS)} Choose {', '.join(FORMATS)}."
        )
    return FORMATS[name]


def format_of(path: Path) -> Format:
    """Return the format that belongs to a file's suffix.

    Raises:
        ConfigError: unknown suffix.
    """
    for row in FORMATS.values():
        if path.suffix == row.suffix:
            return row
    suffixes = ", ".join(f"{row.suffix} ({row.name})" for row in FORMATS.values())
    raise ConfigError(f"the suffix of {path} is not an export format; use one of {suffixes}.")
