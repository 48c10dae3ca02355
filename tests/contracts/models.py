"""The models that the contract tests run on: one of each kind quickly, all others in tests marked slow.

A contract holds for all models of one kind or for none: they have the same layers and differ in sizes and
tables only. So each new size costs the quick tests nothing. No family is named here.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from lightcars.models.image_model import ImageModel
from lightcars.models.registry import MODELS
from lightcars.models.validation import has_setting
from lightcars.zoo import create_model

SAME = [name for name, entry in MODELS.items() if getattr(entry.config, "padding", None) == "symmetric"]
VARIANTS = {name: {} for name in MODELS} | {f"{name}-same": {"padding": "same"} for name in SAME}
"""Test id -> what is changed in the registered config; the id up to the dash is the registered name."""


def kind(variant: str) -> tuple[object, ...]:
    """Equal for variants with the same layers: text and flags select layers, numbers and tables sizes."""
    config = replace(MODELS[variant.partition("-")[0]].config, **VARIANTS[variant])
    settings = [getattr(config, field.name) for field in fields(config)]
    return type(config), *(setting for setting in settings if isinstance(setting, str | bool))


def first_of_each(variants: Iterable[str], key: Callable[[str], object]) -> list[str]:
    """Return the first variant for each value of `key`, in order."""
    firsts: dict[object, str] = {}
    for variant in variants:
        firsts.setdefault(key(variant), variant)
    return list(firsts.values())


KINDS = first_of_each(VARIANTS, kind)
"""The first variant of each kind."""
FIRST_OF_FAMILIES = first_of_each(KINDS, lambda variant: kind(variant)[0])
"""The first kind of each family, in the order of the table of families."""


MAX_FLOPS = 5e9
"""Larger models take minutes and many gigabytes for each test, and have the layers of smaller ones."""


def _quick_for_kinds(variants: Iterable[str]) -> pytest.MarkDecorator:
    tested = [v for v in variants if MODELS[v.partition("-")[0]].flops <= MAX_FLOPS]
    params = [pytest.param(v, marks=() if v in KINDS else pytest.mark.slow) for v in tested]
    return pytest.mark.parametrize("variant", params)


every_variant = _quick_for_kinds(VARIANTS)
every_model = _quick_for_kinds(MODELS)
every_kind = pytest.mark.parametrize("variant", KINDS)
first_families = pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=() if v in FIRST_OF_FAMILIES[:2] else pytest.mark.slow) for v in KINDS],
)
"""For tests of many seconds: every kind, quickly the first one of the first two families only."""
all_at_once = pytest.mark.parametrize("variant", VARIANTS)
"""For tests so quick that every variant takes part."""


def full(variant: str, **changes) -> ImageModel:
    """The registered model as it ships."""
    return create_model(variant.partition("-")[0], **VARIANTS[variant], **changes)


def quick(variant: str, **changes) -> ImageModel:
    """The same, narrow and with few blocks, which leaves every kind of block in."""
    config = MODELS[variant.partition("-")[0]].config
    if has_setting(config, "width"):
        changes = {"width": config.width / 4, **changes}
    if has_setting(config, "depth"):
        changes = {"depth": 0.34, **changes}
    return full(variant, **changes)


def dropping(variant: str, probability: float) -> dict[str, float]:
    """Settings of everything in a model that is random in training."""
    config = MODELS[variant.partition("-")[0]].config
    return {name: probability for name in ("dropout", "drop_path") if has_setting(config, name)}


def images(*shape: int) -> Tensor:
    return torch.randn(*shape)
