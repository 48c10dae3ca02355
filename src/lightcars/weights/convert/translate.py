"""Translate names of tensors between this library and others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from lightcars.errors import CheckpointError
from lightcars.models.config import ModelConfig
from lightcars.models.families import FAMILIES, family_of
from lightcars.models.tensor_names import PLAIN, Form

OURS = "lightcars"
OUR_STEM = "stem."
COUNTER = "num_batches_tracked"
LEFTOVERS = ("total_ops", "total_params")
"""Buffers that operation counters left in some files."""


def _signs() -> dict[str, str]:
    """Return a tensor that one library's files have -> the library; the first one of several alike."""
    found: dict[str, str] = {}
    for family in FAMILIES.values():
        if family.names is not None:
            for name, source in family.names.sources.items():
                found.setdefault(source.sign, name)
    return found


SIGNS: Mapping[str, str] = MappingProxyType(_signs())


def sources(config: ModelConfig) -> tuple[str, ...]:
    """Return the libraries whose names a model of this config can have, ours first."""
    names = family_of(config).names
    return (OURS, *names.known(config)) if names is not None else (OURS,)


def recognize(names: Iterable[str]) -> str | None:
    """Return the library whose names these are, or None. Huawei's are timm's."""
    known = set(names)
    for sign, source in SIGNS.items():
        if sign in known:
            return source
    return OURS if any(name.startswith(OUR_STEM) for name in known) else None


def forms(config: ModelConfig, source: str) -> tuple[Form, ...]:
    """Return the numerics that a model of this config has in `source`.

    Tensors under our own names may have come from any library: their numerics are as open as those of the
    library that has most forms.
    """
    names = family_of(config).names
    if names is None:
        return (PLAIN,)
    among = [one for one in names.known(config) if source in (OURS, one)]
    return max((names.sources[one].forms(config) for one in among), key=len, default=(PLAIN,))


def layer_names(config: ModelConfig, source: str) -> dict[str, str]:
    """Return our name of each layer that has tensors -> its name in `source`, another library.

    Raises:
        CheckpointError: the library has no such model.
    """
    family = family_of(config)
    if family.names is None or source not in family.names.known(config):
        title = family.model if family.names is None else family.names.title(config)
        raise CheckpointError(
            f"{title} does not exist with the names of {source!r}, only with those of"
            f" {', '.join(sources(config))}."
        )
    return dict(family.names.sources[source].layers(config))


def _linears(config: ModelConfig, source: str) -> tuple[str, ...]:
    """Return our 1x1 convolutions that are linear layers in `source`."""
    names = family_of(config).names
    return () if names is None or source == OURS else names.sources[source].linears


def to_lightcars(tensors: Mapping[str, Tensor], config: ModelConfig, source: str) -> dict[str, Tensor]:
    """Return the tensors under our names; names that the source should not have stay as they are.

    Batch norms without a counter, as in files of 2019 and older, get one at 0.
    """
    ours = {theirs: name for name, theirs in layer_names(config, source).items()} if source != OURS else {}
    linears = _linears(config, source)
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if kind in LEFTOVERS:
            continue
        value = tensor[:, :, None, None] if ours.get(layer) in linears and tensor.ndim == 2 else tensor
        renamed[f"{ours[layer]}.{kind}" if layer in ours else name] = value
    for name in [name for name in renamed if name.endswith(".running_mean")]:
        counter = name.replace("running_mean", COUNTER)
        if counter not in renamed:
            renamed[counter] = torch.zeros((), dtype=torch.int64, device=renamed[name].device)
    return renamed


def from_lightcars(tensors: Mapping[str, Tensor], config: ModelConfig, target: str) -> dict[str, Tensor]:
    """Return our tensors under the names of `target`.

    Raises:
        CheckpointError: `target` has no model of this kind, or a tensor has no name there.
    """
    if target == OURS:
        return dict(tensors)
    theirs, linears = layer_names(config, target), _linears(config, target)
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if layer not in theirs:
            raise CheckpointError(
                f"{name} is not a tensor of this model's config and has no name in {target}."
            )
        value = tensor.flatten(1) if layer in linears and tensor.ndim == 4 else tensor
        renamed[f"{theirs[layer]}.{kind}"] = value
    return renamed
