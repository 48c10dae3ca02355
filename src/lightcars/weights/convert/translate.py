"""Between our names of tensors and those of other libraries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from lightcars.errors import CheckpointError
from lightcars.models.efficientnet import names as efficientnet
from lightcars.models.efficientnet.config import EfficientNetConfig
from lightcars.models.ghostnet import names as ghostnet
from lightcars.models.registry import AnyConfig

OURS = "lightcars"
COUNTER = "num_batches_tracked"
LEFTOVERS = ("total_ops", "total_params")
"""Buffers that operation counters left in some files."""

_SIGNS = (
    ("stem.conv.weight", OURS),
    ("_conv_stem.weight", "lukemelas"),
    ("features.1.conv.0.primary_conv.0.weight", "thesis"),
    ("features.0.0.weight", "torchvision"),
    ("conv_stem.weight", "timm"),
)
"""A tensor that only one source has, checked in this order."""


def sources(config: AnyConfig) -> tuple[str, ...]:
    """Whose names a model of this config can have, ours among them."""
    if isinstance(config, EfficientNetConfig):
        return (OURS, *efficientnet.SOURCES)
    theirs = ghostnet.THESIS_SOURCES if config.form == "thesis" else ghostnet.OFFICIAL_SOURCES
    return (OURS, *theirs)


def recognize(names: Iterable[str]) -> str | None:
    """Whose names these are, or None. Huawei's are timm's."""
    known = set(names)
    return next((source for sign, source in _SIGNS if sign in known), None)


def layer_names(config: AnyConfig, source: str) -> dict[str, str]:
    """Our name of each layer that has tensors -> its name in `source`."""
    if source not in sources(config):
        form = "" if isinstance(config, EfficientNetConfig) else f" ({config.form} form)"
        raise CheckpointError(
            f"{type(config).__name__.removesuffix('Config')}{form} does not exist with the names of"
            f" {source!r}, only with those of {', '.join(sources(config))}."
        )
    if isinstance(config, EfficientNetConfig):
        return efficientnet.layer_names(config, source)
    return ghostnet.layer_names(config, source)


def to_lightcars(tensors: Mapping[str, Tensor], config: AnyConfig, source: str) -> dict[str, Tensor]:
    """The tensors under our names. Names that the source should not have stay as they are.

    Batch norms without a counter, as in files of 2019 and older, get one at 0.
    """
    ours = {theirs: name for name, theirs in layer_names(config, source).items()} if source != OURS else {}
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if kind not in LEFTOVERS:
            renamed[f"{ours[layer]}.{kind}" if layer in ours else name] = tensor
    for name in [name for name in renamed if name.endswith(".running_mean")]:
        counter = name.replace("running_mean", COUNTER)
        if counter not in renamed:
            renamed[counter] = torch.zeros((), dtype=torch.int64, device=renamed[name].device)
    return renamed


def from_lightcars(tensors: Mapping[str, Tensor], config: AnyConfig, target: str) -> dict[str, Tensor]:
    """Our tensors under the names of `target`.

    Raises:
        CheckpointError: `target` has no model of this kind, or a tensor has no name there.
    """
    if target == OURS:
        return dict(tensors)
    theirs = layer_names(config, target)
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if layer not in theirs:
            raise CheckpointError(f"{name} is no tensor of this model's config, and has no name in {target}.")
        renamed[f"{theirs[layer]}.{kind}"] = tensor
    return renamed
