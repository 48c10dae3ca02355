"""The engines that `optimize` chooses from, in one table; one file each. No torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from lightcars.deploy.engines import require

if TYPE_CHECKING:
    from lightcars.deploy.engines import Engine
    from lightcars.deploy.source import Source

Precision: TypeAlias = Literal["fp32", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")


class Runner(Protocol):
    """What each file here has."""

    def prepare(self, source: Source, precision: Precision, folder: Path) -> None:
        """Converts, and writes what `start` needs into an empty folder."""

    def start(self, source: Source, precision: Precision, folder: Path) -> Engine:
        """The engine, ready: (batch, img_channels, resolution, resolution) -> logits of their own memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEntry:
    """One engine.

    Attributes:
        name: after `engine=`.
        module: its file here.
        packages: modules that converting needs, the engine's own first.
        precisions: that it computes in.
        on_gpu: whether it runs where a model on a GPU is.
        any_batch: whether it takes any number of images, not only the one it was made for.
        in_auto: whether `auto` measures it; one that compiles for a minute is only taken by name.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    on_gpu: bool = False
    any_batch: bool = False
    in_auto: bool = True

    @property
    def runner(self) -> Runner:
        """The code that runs it."""
        return cast(Runner, importlib.import_module(f"lightcars.deploy.runners.{self.module}"))

    def require(self) -> None:
        """Raises MissingExtraError, with the line that installs it, where a package is missing."""
        for package in self.packages:
            require(package)

    @property
    def versions(self) -> list[str | None]:
        """Of its packages; None for one that is not installed."""
        return [installed_version(package) for package in self.packages]


def installed_version(package: str) -> str | None:
    """None if it is not installed."""
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
            precisions=("fp32",),  # it has no convolution in bf16 for processors
        ),
        EngineEntry(name="openvino", module="openvino", packages=("openvino",), precisions=PRECISIONS),
    )
}
