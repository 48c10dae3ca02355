"""Names and numerics of a family's tensors in other libraries. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic

from lightcars.models.config import NUMERICS, ConfigT, ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Numerics that a library builds a model with and that its tensors do not show.

    Attributes:
        prefix: of the library's name for such a model; "" for none.
        title: in messages.
        settings: of the config.
    """

    prefix: str = ""
    title: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def is_of(self, config: ModelConfig) -> bool:
        """Return whether a model of `config` computes the same."""
        return all(getattr(config, key) == self.settings[key] for key in NUMERICS if key in self.settings)


PLAIN = Form()
"""The only one of families whose numerics are the same everywhere."""

NATIVE = Form(
    title="PyTorch's own form (timm's without tf_)",
    settings=MappingProxyType({"padding": "symmetric", "batch_norm_eps": 1e-5, "batch_norm_momentum": 0.1}),
)
TENSORFLOW = Form(
    prefix="tf_",
    title="TensorFlow's form (timm's tf_)",
    settings=MappingProxyType({"padding": "same", "batch_norm_eps": 1e-3, "batch_norm_momentum": 0.01}),
)

TENSORFLOW_EPS = Form(
    title="TensorFlow's batch norms with symmetric padding",
    settings=MappingProxyType({"padding": "symmetric", "batch_norm_eps": 1e-3, "batch_norm_momentum": 0.01}),
)
"""torchvision's, where its weights were trained so."""


def plain_form(_: ModelConfig) -> tuple[Form, ...]:
    """Return `PLAIN` alone."""
    return (PLAIN,)


def conv_unit(ours: str, convolution: str, norm: str) -> Iterator[tuple[str, str]]:
    """Yield our names of the convolution and the norm in the `ConvNormAct` called `ours`, with theirs."""
    yield f"{ours}.conv", convolution
    yield f"{ours}.norm", norm


def timm_mbconv(ours: str, theirs: str, *, expands: bool, squeezes: bool) -> Iterator[tuple[str, str]]:
    """Yield the names of an `MBConv` and timm's: its InvertedResidual, or its DepthwiseSeparableConv."""
    if expands:
        yield from conv_unit(f"{ours}.expand", f"{theirs}.conv_pw", f"{theirs}.bn1")
    norms = ("bn2", "bn3") if expands else ("bn1", "bn2")
    yield from conv_unit(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.{norms[0]}")
    if squeezes:
        yield f"{ours}.squeeze_excite.reduce", f"{theirs}.se.conv_reduce"
        yield f"{ours}.squeeze_excite.expand", f"{theirs}.se.conv_expand"
    project = "conv_pwl" if expands else "conv_pw"
    yield from conv_unit(f"{ours}.project", f"{theirs}.{project}", f"{theirs}.{norms[1]}")


def torchvision_mbconv(ours: str, theirs: str, *, expands: bool, squeezes: bool) -> Iterator[tuple[str, str]]:
    """Yield the names of an `MBConv` and those of torchvision's, a sequence of Conv2dNormActivation."""
    parts = ["expand"] if expands else []
    parts += ["depthwise", "squeeze_excite", "project"] if squeezes else ["depthwise", "project"]
    for position, part in enumerate(parts):
        if part == "squeeze_excite":
            yield f"{ours}.{part}.reduce", f"{theirs}.{position}.fc1"
            yield f"{ours}.{part}.expand", f"{theirs}.{position}.fc2"
        else:
            yield from conv_unit(f"{ours}.{part}", f"{theirs}.{position}.0", f"{theirs}.{position}.1")


def stage_positions(blocks: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return stage and position in it of every block, as timm groups them.

    Args:
        blocks: channels and stride of each; a stage begins where the channels change, or with a stride.
    """
    positions: list[tuple[int, int]] = []
    before = 0
    for channels, stride in blocks:
        starts = not positions or channels != before or stride > 1
        last = positions[-1] if positions else (-1, 0)
        positions.append((last[0] + 1, 0) if starts else (last[0], last[1] + 1))
        before = channels
    return positions


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Generic[ConfigT]):
    """One library's names of a family's tensors, and the numerics of its models.

    Attributes:
        sign: a tensor that this library's files have, and no file of another library.
        layers: config -> our name of each layer that has tensors, and its name there.
        forms: config -> the numerics that the library has for such a model; more than one if the names do
            not tell which.
        linears: our 1x1 convolutions that are linear layers there.
    """

    sign: str
    layers: Callable[[ConfigT], Iterable[tuple[str, str]]]
    forms: Callable[[ConfigT], tuple[Form, ...]] = plain_form
    linears: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorNames(Generic[ConfigT]):
    """Tensor names and numerics of a family's models in other libraries.

    Attributes:
        sources: by the library's name in `WeightsEntry.source`.
        known: config -> those of the libraries that have such a model.
        title: config -> what to call such a model in messages.
    """

    sources: Mapping[str, Source[ConfigT]]
    known: Callable[[ConfigT], tuple[str, ...]]
    title: Callable[[ConfigT], str]
