"""The same models from each library, with the same settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness import OURS

if TYPE_CHECKING:
    from torch import nn

EFFICIENTNETS = tuple(f"efficientnet_b{size}" for size in range(8))
GHOSTNETS = ("ghostnet_050", "ghostnet_100", "ghostnet_130")


def sides_of(model: str) -> tuple[str, ...]:
    """The libraries that have the model: torchvision has no GhostNet."""
    return (OURS, "torchvision", "timm") if model in EFFICIENTNETS else (OURS, "timm")


def builder(side: str, model: str) -> Callable[[], nn.Module]:
    """Builds the model anew at each call, with fresh weights. The library is imported before it returns.

    timm's EfficientNets get the dropout and stochastic depth that the others have by default.
    """
    if side == OURS:
        from lightcars import create_model

        return lambda: create_model(model)
    if side == "torchvision":
        import torchvision

        build = getattr(torchvision.models, model)
        return lambda: build(weights=None)
    import timm

    if model in GHOSTNETS:
        return lambda: timm.create_model(model)
    dropout = _dropout(model)
    return lambda: timm.create_model(model, drop_rate=dropout, drop_path_rate=0.2)


def _dropout(model: str) -> float:
    from lightcars.models.efficientnet.config import VARIANTS

    return VARIANTS[model.removeprefix("efficientnet_")].dropout
