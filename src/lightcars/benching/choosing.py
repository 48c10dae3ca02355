"""Registered models with all that is known of them, filtered and sorted. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lightcars.errors import UnknownModelError, did_you_mean
from lightcars.models.families import FAMILIES, family_of
from lightcars.models.registry import MODELS, list_models
from lightcars.weights.catalog import IMAGENET, list_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One registered model.

    Attributes:
        name: in the registry.
        family: of models.
        num_params: parameters.
        flops: multiply-accumulates for one image at `resolution`, 1000 classes.
        resolution: pixels of the square input that it is meant for.
        paper: where the architecture comes from.
        top1_percent: best published ImageNet-1k accuracy of weights trained on nothing else; None if
            no source states one.
        top1_tag: of these weights.
        licenses: of its published weights, as their sources state them.
        latency_ms: measured here, if it was; see `lightcars.benching.latencies`.
    """

    name: str
    family: str
    num_params: int
    flops: int
    resolution: int
    paper: str
    top1_percent: float | None
    top1_tag: str | None
    licenses: tuple[str, ...]
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a model has to be; None is anything.

    Attributes:
        pattern: shell pattern of its name.
        family: of models.
        max_params, max_flops: at most so many.
        min_top1_percent: published accuracy of at least this.
        license: of some of its published weights; upper and lower case are the same.
        available: whether some of its published weights are on this machine.
    """

    pattern: str = "*"
    family: str | None = None
    max_params: float | None = None
    max_flops: float | None = None
    min_top1_percent: float | None = None
    license: str | None = None
    available: bool = False


SORT_KEYS: Mapping[str, Callable[[ModelRow], Any]] = {
    "name": lambda row: row.name,
    "params": lambda row: row.num_params,
    "flops": lambda row: row.flops,
    "accuracy": lambda row: -(row.top1_percent or 0.0),
    "latency": lambda row: float("inf") if row.latency_ms is None else row.latency_ms,
}
"""Smallest first, but the most accurate first."""


def choose_models(wanted: Wanted) -> list[ModelRow]:
    """Return the models that are as wanted, in the order of the registry.

    Raises:
        UnknownModelError: no such family.
    """
    if wanted.family is not None and wanted.family not in FAMILIES:
        hint = did_you_mean(wanted.family, FAMILIES)
        raise UnknownModelError(f"no family named {wanted.family!r}.{hint} There are {', '.join(FAMILIES)}.")
    rows = (_row(name) for name in list_models(wanted.pattern))
    return [row for row in rows if _is_wanted(row, wanted)]


def _row(name: str) -> ModelRow:
    entry = MODELS[name]
    published = list_weights(name)
    rated = [
        weights
        for weights in published
        if weights.top1_percent is not None and weights.data == IMAGENET and not weights.extra_data
    ]
    best = max(rated, key=lambda weights: weights.top1_percent or 0.0, default=None)
    return ModelRow(
        name=name,
        family=family_of(entry.config).name,
        num_params=entry.num_params,
        flops=entry.flops,
        resolution=entry.config.resolution,
        paper=entry.paper,
        top1_percent=None if best is None else best.top1_percent,
        top1_tag=None if best is None else best.tag,
        licenses=tuple(sorted({weights.license for weights in published if weights.license})),
    )


def _is_wanted(row: ModelRow, wanted: Wanted) -> bool:
    licenses = [known.casefold() for known in row.licenses]
    return (
        wanted.family in (None, row.family)
        and row.num_params <= _or_infinity(wanted.max_params)
        and row.flops <= _or_infinity(wanted.max_flops)
        and (wanted.min_top1_percent is None or (row.top1_percent or 0.0) >= wanted.min_top1_percent)
        and (wanted.license is None or wanted.license.casefold() in licenses)
        and (not wanted.available or _is_available(row.name))
    )


def _is_available(name: str) -> bool:
    from lightcars.weights.availability import is_available

    return any(is_available(weights) for weights in list_weights(name))


def _or_infinity(limit: float | None) -> float:
    return float("inf") if limit is None else limit
