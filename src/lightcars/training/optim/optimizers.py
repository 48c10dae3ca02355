"""A recipe's optimizer, learning rates and average of weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from lightcars.errors import ConfigError
from lightcars.models.image_model import ImageModel
from lightcars.recipes.recipe import STEPWISE, OptimizerRecipe, Recipe, ScheduleRecipe
from lightcars.training.optim.muon import MuonWithAdamW, is_matrix


def parameter_groups(model: ImageModel, recipe: OptimizerRecipe) -> list[dict[str, Any]]:
    """Trunk and classifier, with and without weight decay, as a recipe treats them; empty ones left out."""
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        trunk = not name.startswith("classifier.")
        rate = recipe.lr * (recipe.backbone_lr_factor if trunk else 1.0)
        decay = recipe.weight_decay if recipe.decay_norms or parameter.ndim > 1 else 0.0
        matrix = recipe.name == "Muon" and trunk and is_matrix(parameter)
        groups.setdefault((rate, decay, matrix), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay, "is_matrix": matrix}
        for (rate, decay, matrix), parameters in groups.items()
    ]


def make_optimizer(model: ImageModel, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """The optimizer of `torch.optim` that the recipe names; Muon goes with AdamW for what is no matrix.

    Raises:
        ConfigError: settings that it does not take.
    """
    kind: Any = MuonWithAdamW if recipe.name == "Muon" else getattr(torch.optim, recipe.name)
    try:
        optimizer = kind(parameter_groups(model, recipe), lr=recipe.lr, **recipe.settings)
    except (TypeError, ValueError, IndexError) as error:
        raise _refused(recipe.name, recipe.settings, error) from error
    assert isinstance(optimizer, torch.optim.Optimizer)
    return optimizer


def make_epoch_schedule(optimizer: torch.optim.Optimizer, recipe: ScheduleRecipe) -> LRScheduler:
    """torch's scheduler that the recipe names, which steps once an epoch.

    Raises:
        ConfigError: settings that it does not take.
    """
    kind = getattr(torch.optim.lr_scheduler, recipe.name)
    try:
        scheduler = kind(optimizer, **recipe.settings)
    except (TypeError, ValueError) as error:
        raise _refused(recipe.name, recipe.settings, error) from error
    assert isinstance(scheduler, LRScheduler)
    return scheduler


def check_optimization(model: ImageModel, recipe: Recipe) -> None:
    """Makes what training would make, and steps without gradients, so that mistakes show at once.

    Raises:
        ConfigError: settings that torch's optimizer or scheduler does not take.
    """
    optimizer = make_optimizer(model, recipe.optimizer)
    if recipe.schedule.name in STEPWISE:
        return
    scheduler = make_epoch_schedule(optimizer, recipe.schedule)
    try:
        for _ in range(3):
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(1.0)
            else:
                optimizer.step()
                scheduler.step()
    except (TypeError, ValueError) as error:
        raise _refused(recipe.schedule.name, recipe.schedule.settings, error) from error


def averaged(model: ImageModel, decay: float) -> AveragedModel:
    """A copy of the model that follows it, of `decay` old and the rest new; faster at the beginning."""

    @torch.no_grad()
    def follow(average: Any, current: Any, number: Any) -> None:
        share = 1 - min(decay, (1 + int(number)) / (10 + int(number)))
        for old, new in zip(average, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:
                old.copy_(new)

    average = AveragedModel(model, multi_avg_fn=follow, use_buffers=True)
    average.requires_grad_(False)  # several devices wait for every gradient that could come
    return average


def _refused(name: str, settings: Any, error: Exception) -> ConfigError:
    reason = str(error).partition("\n")[0]
    return ConfigError(f"{name} does not take {dict(settings)} ({reason}).")
