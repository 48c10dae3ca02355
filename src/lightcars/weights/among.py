"""Find a model, and its classifier, among the tensors of a training."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from torch import Tensor

from lightcars.errors import CheckpointError
from lightcars.models.config import ModelConfig
from lightcars.models.families import source_names
from lightcars.weights.adapt import CLASSIFIER, config_of
from lightcars.weights.convert.translate import (
    OUR_STEM,
    OURS,
    SIGNS,
    layer_names,
    recognize,
    to_lightcars,
)

BIAS = "classifier.bias"
_CLASSIFIER = "classifier"
_PARTS = ("stem", "blocks", "head", "pool", "neck", "dropout", _CLASSIFIER)
_AVERAGED, _SECOND = {"ema", "swa", "average", "averaged"}, {"teacher", "target", "momentum"}
_FEW = 4
_Layer: TypeAlias = tuple[Tensor | None, Tensor | None]
"""Weight and bias."""


@dataclass(frozen=True, slots=True)
class Found:
    """A model among the tensors of a file.

    Attributes:
        source: the library whose names it has.
        tensors: of the model, by its names without `prefix`.
        prefix: what precedes them in the file; "" for nothing.
        beside: the file's other tensors, by their whole names.
        others: prefixes of further models in the file.
        classifier: the layer in the file that was taken as the classifier, if it has another name there.
        head: layers of a head that is more than one linear layer.
        ignored: whole names of all tensors that are not taken.
    """

    source: str
    tensors: dict[str, Tensor]
    prefix: str = ""
    beside: dict[str, Tensor] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    classifier: str | None = None
    head: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def find_model(tensors: Mapping[str, Tensor], origin: str) -> Found:
    """Find the model in a training's tensors: whole, or under one prefix ("backbone.", "model.net.").

    Of several models the average is taken; a teacher is not, where there is another.

    Raises:
        CheckpointError: no names that are known, or several models that are equally good.
    """
    prefixes = _prefixes(tensors)
    if not prefixes:
        few = ", ".join(list(tensors)[:3])
        raise CheckpointError(
            f"the tensor names in {origin} are not known (first: {few}); it must come from lightcars or"
            f" one of {', '.join(source_names())}."
        )
    best = min(map(_rank, prefixes))
    chosen = [prefix for prefix in prefixes if _rank(prefix) == best]
    if len(chosen) > 1:
        raise CheckpointError(
            f"{origin} contains several models, under {', '.join(one or 'no prefix' for one in chosen)}; save"
            " the state dict of the one that you want in a file of its own."
        )
    prefix = chosen[0]
    others = tuple(one for one in prefixes if one != prefix)
    inside = {name: name.removeprefix(prefix) for name in tensors if _is_under(name, prefix, others)}
    return Found(
        source=prefixes[prefix],
        tensors={own: tensors[name] for name, own in inside.items()},
        prefix=prefix,
        beside={name: tensor for name, tensor in tensors.items() if name not in inside},
        others=others,
    )


def with_classifier(found: Found, config: ModelConfig) -> Found:
    """Return the model's tensors under our names, with the classifier that goes with them.

    A single linear layer of the right width is taken, whatever its name: in the classifier's place
    ("classifier.1"), or beside the model ("fc"). A head of more layers is none of this library's and is left.

    Args:
        found: what `find_model` found.
        config: of the model that the tensors are of, for any number of classes.
    """
    tensors = to_lightcars(found.tensors, config, found.source)
    head = _head(tensors, config, found.source)
    body = {name: tensor for name, tensor in tensors.items() if name not in head}
    whole = _whole_names(head, found, config)
    inside = {whole[name]: tensor for name, tensor in head.items() if name in whole}
    rest = (*inside, *found.beside)
    layers = _nearest_layers(found, inside)
    if not layers:
        return replace(found, tensors=body, ignored=rest)
    name, (weight, bias) = next(iter(layers.items()))
    usual = name in [whole[kind].rpartition(".")[0] for kind in (CLASSIFIER, BIAS) if kind in whole]
    if len(layers) == 1 and usual and len(head) == len(inside):  # complete or not
        return replace(found, tensors=tensors, ignored=tuple(found.beside))
    width = config_of(body, config).head_channels
    if len(layers) > 1 or weight is None or bias is None or not _fits(weight, bias, width):
        return replace(found, tensors=body, head=tuple(layers), ignored=rest)
    return replace(
        found,
        tensors=body | {CLASSIFIER: weight, BIAS: bias},
        classifier=name,
        ignored=tuple(one for one in rest if one not in (f"{name}.weight", f"{name}.bias")),
    )


def shorten(names: Iterable[str]) -> str:
    """Return names for a message; many under one part as a count."""
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(name.partition(".")[0], []).append(name)
    return ", ".join(
        ", ".join(group) if len(group) <= _FEW else f"{part}.* ({len(group)} tensors)"
        for part, group in parts.items()
    )


def _prefixes(names: Iterable[str]) -> dict[str, str]:
    """Return what precedes each model's names -> the library whose names they are."""
    names = list(names)
    found: dict[str, str] = {}
    whole = recognize(names)
    if whole is not None:
        found[""] = whole
    for sign, source in {**SIGNS, f"{OUR_STEM}conv.weight": OURS}.items():
        for name in names:
            if name.endswith(f".{sign}"):
                found.setdefault(name.removesuffix(sign), source)
    return found


def _rank(prefix: str) -> int:
    words = set(re.split(r"[._]", prefix))
    return 0 if words & _AVERAGED else 2 if words & _SECOND else 1


def _is_under(name: str, prefix: str, others: tuple[str, ...]) -> bool:
    """Return whether a tensor is of the model at `prefix`, not of another one further inside."""
    inner = (other for other in others if len(other) > len(prefix) and other.startswith(prefix))
    return name.startswith(prefix) and not name.startswith(tuple(inner))


def _head(tensors: Mapping[str, Tensor], config: ModelConfig, source: str) -> dict[str, Tensor]:
    """Return those tensors, by our names or unknown ones, that belong behind the known layers."""
    theirs = layer_names(config, source) if source != OURS else {}
    own = {layer.partition(".")[0] for ours, layer in theirs.items() if ours != _CLASSIFIER} or _PARTS

    def is_of_head(name: str) -> bool:
        part = name.partition(".")[0]
        return part == _CLASSIFIER or (part not in own and name.rpartition(".")[0] not in theirs)

    return {name: tensor for name, tensor in tensors.items() if is_of_head(name)}


def _whole_names(head: Iterable[str], found: Found, config: ModelConfig) -> dict[str, str]:
    """Return our name of each tensor of the head -> its name in the file."""
    theirs = layer_names(config, found.source)[_CLASSIFIER] if found.source != OURS else _CLASSIFIER
    whole = {}
    for name in head:
        renamed = f"{theirs}{name.removeprefix(_CLASSIFIER)}"
        original = next((one for one in (name, renamed) if one in found.tensors), None)
        if original is not None:
            whole[name] = f"{found.prefix}{original}"
    return whole


def _nearest_layers(found: Found, inside: Mapping[str, Tensor]) -> dict[str, _Layer]:
    """Return the layers in the model's head, or else the nearest ones beside the model, from inside out."""
    layers = _layers(inside)
    parts = found.prefix.split(".")[:-1]
    for end in reversed(range(len(parts))):
        scope = "".join(f"{part}." for part in parts[:end])
        if layers:
            break
        layers = _layers(
            {
                name: tensor
                for name, tensor in found.beside.items()
                if name.startswith(scope) and not any(name.startswith(other) for other in found.others)
            }
        )
    return layers


def _layers(tensors: Mapping[str, Tensor]) -> dict[str, _Layer]:
    """Return the name of each layer -> its weight and bias. A weight of one axis alone is a loss's."""
    layers: dict[str, _Layer] = {}
    for name in tensors:
        layer = name.rpartition(".")[0]
        weight, bias = tensors.get(f"{layer}.weight"), tensors.get(f"{layer}.bias")
        if bias is not None or (weight is not None and weight.ndim > 1):
            layers[layer] = weight, bias
    return layers


def _fits(weight: Tensor, bias: Tensor, width: int) -> bool:
    return weight.ndim == 2 and weight.shape[1] == width and bias.shape == weight.shape[:1]
