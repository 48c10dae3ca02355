"""The formats that `export` writes, in one table. No torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast, get_args

from lightcars.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch.export import ExportedProgram

    from lightcars.deploy.packages import InferenceFunction
    from lightcars.deploy.source import Source

ExportPrecision: TypeAlias = Literal["fp32", "fp16", "int8"]


class Artifact(Protocol):
    """Interface of the modules in `artifacts/`."""

    def write(
        self,
        program: ExportedProgram,
        path: Path,
        entries: Mapping[str, str],
        *,
        precision: ExportPrecision = "fp32",
        source: Source | None = None,
    ) -> None:
        """Convert the program and write one artifact with its metadata.

        `source` is the same model with a calibration, for int8.
        """

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
        precisions: those that it can be written in.
        half_program: whether fp16 is that of the program; otherwise the weights are converted for the engine.
        quantizes: whether it comes with a quantizer of its own; others need NNCF.
        fixed_batch: whether the batch size cannot be dynamic; it is then 1, unless another one is given.
        largest_batch, largest_side: upper bounds of dynamic sizes; small where the engine plans memory for
            the largest input.
    """

    name: str
    engine: str
    suffix: str
    second_suffix: str | None = None
    packages: tuple[str, ...] = ()
    precisions: tuple[ExportPrecision, ...] = ("fp32",)
    half_program: bool = False
    quantizes: bool = False
    fixed_batch: bool = False
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
            precisions=("fp32", "fp16", "int8"),
        ),
        Format(
            name="openvino",
            engine="OpenVINO",
            suffix=".xml",
            second_suffix=".bin",
            packages=("openvino",),
            precisions=("fp32", "fp16", "int8"),
        ),
        Format(
            name="torch-export",
            engine="torch.export",
            suffix=".pt2",
            precisions=("fp32", "fp16"),
            half_program=True,
        ),
        Format(
            name="executorch",
            engine="ExecuTorch",
            suffix=".pte",
            packages=("executorch.exir", "executorch.runtime"),
            largest_batch=8,
            largest_side=1024,
        ),
        Format(
            name="litert",
            engine="LiteRT",
            suffix=".tflite",
            packages=("litert_torch", "ai_edge_litert.interpreter", "ai_edge_quantizer"),
            precisions=("fp32", "fp16", "int8"),
            quantizes=True,
            fixed_batch=True,
        ),
    )
}


def find_format(name: str, others: tuple[str, ...] = ()) -> Format:
    """Return the format with a given name.

    Args:
        others: further names that the caller takes, for the error message.

    Raises:
        ConfigError: unknown name.
    """
    if name not in FORMATS:
        names = (*FORMATS, *others)
        raise ConfigError(f"unknown format {name!r}.{did_you_mean(name, names)} Choose {', '.join(names)}.")
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


def check_precision(kind: Format, precision: str) -> ExportPrecision:
    """Return the precision, if an artifact of this format can be written in it.

    Raises:
        ConfigError: it cannot, or there is no such precision; the message names what is possible.
    """
    known = get_args(ExportPrecision)
    if precision not in known:
        raise ConfigError(
            f"there is no precision {precision!r} of exports.{did_you_mean(precision, known)} Choose"
            f" {', '.join(known)}."
        )
    if precision not in kind.precisions:
        others = [row.name for row in FORMATS.values() if precision in row.precisions]
        raise ConfigError(
            f"artifacts for {kind.engine} are in {' or '.join(kind.precisions)}; {precision} is possible with"
            f" the formats {', '.join(others)}."
        )
    return precision
