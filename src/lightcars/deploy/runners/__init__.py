"""The engines that `optimize` selects from, in one table; one module each. No torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from lightcars.deploy.packages import require

if TYPE_CHECKING:
    from lightcars.deploy.packages import InferenceFunction
    from lightcars.deploy.source import Source

EnginePrecision: TypeAlias = Literal["fp32", "bf16", "int8"]
Precision: TypeAlias = Literal["fp32", "fp16", "bf16", "int8"]
"""Those of engines and of exported artifacts."""
ENGINE_PRECISIONS: tuple[EnginePrecision, ...] = ("fp32", "bf16", "int8")


class Runner(Protocol):
    """Interface of the modules in this folder."""

    def prepare(self, source: Source, precision: EnginePrecision, folder: Path) -> None:
        """Convert the model and write what `start` needs into an empty folder."""

    def start(self, source: Source, precision: EnginePrecision, folder: Path) -> InferenceFunction:
        """Return the engine: (batch, C, resolution, resolution) -> logits, newly allocated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEntry:
    """One engine.

    Attributes:
        name: the value of `engine=`.
        module: its module in this folder.
        packages: modules that the conversion needs, the engine's own first.
        precisions: those that it supports.
        on_gpu: whether it supports models on a GPU.
        any_batch: whether it accepts any batch size, not only the one it was compiled for.
        in_auto: whether "auto" includes it; engines that compile for a minute are used only by name.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    precisions: tuple[EnginePrecision, ...] = ("fp32", "bf16")
    on_gpu: bool = False
    any_batch: bool = False
    in_auto: bool = True

    @property
    def runner(self) -> Runner:
        """The module that runs it."""
        return cast(Runner, importlib.import_module(f"lightcars.deploy.runners.{self.module}"))

    def require(self) -> None:
        """Raise MissingExtraError, with the pip command, if a package is missing."""
        for package in self.packages:
            require(package)

    @property
    def versions(self) -> list[str | None]:
        """Versions of its packages; None for those that are not installed."""
        return [installed_version(package) for package in self.packages]


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, else None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


ENGINES = {
    entry.name: entry
    for entry in (
        EngineEntry(name="torch", module="pytorch", packages=("torch",), on_gpu=True, any_batch=True),
        EngineEntry(name="compile", module="compiled", packages=("torch",), on_gpu=True, in_auto=False),
        EngineEntry(
            name="onnxruntime",
            module="onnx_runtime",
            packages=("onnxruntime", "onnx", "onnxscript"),
            precisions=("fp32",),  # it has no bf16 convolutions on the CPU
        ),
        EngineEntry(name="openvino", module="openvino", packages=("openvino",), precisions=ENGINE_PRECISIONS),
    )
}
