"""What a family's `names.py` says of other libraries' weights: names of tensors, and numerics. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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


def plain_form(_: ModelConfig) -> tuple[Form, ...]:
    """Return `PLAIN` alone."""
    return (PLAIN,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Generic[ConfigT]):
    """One library's names of a family's tensors, and the numerics of its models.

    Attributes:
        sign: a tensor that this library's files have, and no file of another library.
        layers: config -> our name of each layer that has tensors, and its name there.
        forms: config -> the numerics that the library has for such a model; more than one if the names do
            not tell which.
    """

    sign: str
    layers: Callable[[ConfigT], Iterable[tuple[str, str]]]
    forms: Callable[[ConfigT], tuple[Form, ...]] = plain_form


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorNames(Generic[ConfigT]):
    """All that is known of a family's weights in other libraries.

    Attributes:
        sources: by the library's name in `WeightsEntry.source`.
        known: config -> those of the libraries that have such a model.
        title: config -> what to call such a model in messages.
    """

    sources: Mapping[str, Source[ConfigT]]
    known: Callable[[ConfigT], tuple[str, ...]]
    title: Callable[[ConfigT], str]
