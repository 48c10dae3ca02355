"""Every registered model by name, from the rows of `families`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

from lightcars.errors import UnknownModelError, did_you_mean
from lightcars.models.config import ModelConfig
from lightcars.models.families import FAMILIES


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One registered model.

    Attributes:
        config: what it is built from.
        num_params: parameters.
        flops: multiply-accumulates for one image.
        paper: where the architecture comes from.
    """

    config: ModelConfig
    num_params: int
    flops: int
    paper: str


MODELS: Mapping[str, ModelEntry] = MappingProxyType(
    {
        family.registered(name): ModelEntry(variant.config, variant.num_params, variant.flops, family.paper)
        for family in FAMILIES.values()
        for name, variant in family.variants.items()
    }
)


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of the registered models that match a shell pattern.

    >>> list_models("ghostnet_1*")
    ['ghostnet_100', 'ghostnet_130']
    """
    return [name for name in MODELS if fnmatchcase(name, pattern)]


def find_model(name: str) -> ModelEntry:
    """Return the entry of a registered name, or raise an error that names the nearest ones."""
    if name not in MODELS:
        raise UnknownModelError(
            f"no model named {name!r}.{did_you_mean(name, MODELS)} See lightcars.list_models()."
        )
    return MODELS[name]
