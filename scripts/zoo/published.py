"""The models whose ImageNet accuracy a publisher of weights states, and what they cost at its resolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lightcars.benching.choosing import Wanted, choose_models
from lightcars.counters.flops import count_flops
from lightcars.models.build import build_model
from lightcars.models.registry import MODELS
from lightcars.models.validation import change_config
from lightcars.weights.catalog import find_tag


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    """One model with its best published accuracy, of weights trained on ImageNet-1k alone.

    Attributes:
        name, family, variant: of the model.
        num_params: parameters.
        flops: multiply-accumulates for one image of `resolution`.
        top1_percent: published.
        tag: of the weights.
        resolution: at which the accuracy was measured; often another one than the model's own.
    """

    name: str
    family: str
    variant: str
    num_params: int
    flops: int
    top1_percent: float
    tag: str
    resolution: int


@cache
def published_models() -> tuple[PublishedModel, ...]:
    """Return all models of the registry that a source states an accuracy of."""
    return tuple(_published())


def _published() -> Iterator[PublishedModel]:
    for row in choose_models(Wanted()):
        weights = find_tag(row.top1_tag) if row.top1_tag else None
        if weights is None or row.top1_percent is None:
            continue
        resolution = weights.preprocessing.resolution
        yield PublishedModel(
            name=row.name,
            family=row.family,
            variant=row.name.removeprefix(f"{row.family}_"),
            num_params=row.num_params,
            flops=row.flops
            if resolution == row.resolution
            else _flops(row.name, weights.settings, resolution),
            top1_percent=row.top1_percent,
            tag=weights.tag,
            resolution=resolution,
        )


def _flops(name: str, settings: Mapping[str, Any], resolution: int) -> int:
    config = change_config(MODELS[name].config, settings)
    return count_flops(build_model(config, device="meta"), (1, config.img_channels, resolution, resolution))
