"""A recipe's optimizer, learning rates and EMA."""

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
    """Group parameters by backbone and classifier, with and without weight decay; no empty groups."""
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        backbone = not name.startswith("classifier.")
        rate = recipe.lr * (recipe.backbone_lr_factor if backbone else 1.0)
        decay = recipe.weight_decay if recipe.decay_norms or parameter.ndim > 1 else 0.0
        matrix = recipe.name == "Muon" and backbone and is_matrix(parameter)
        groups.setdefault((rate, decay, matrix), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay, "is_matrix": matrix}
        for (rate, decay, matrix), parameters in groups.items()
    ]


def make_optimizer(model: ImageModel, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """Make the optimizer that the recipe names; Muon comes with AdamW for what is not a matrix.

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
    """Make torch's scheduler that the recipe names, which steps once per epoch.

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
    """Check optimizer and scheduler by making them and stepping without gradients.

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
    """Return an exponential moving average of the model, with a smaller decay at the beginning."""

    @torch.no_grad()
    def follow(average: Any, current: Any, number: Any) -> None:
        share = 1 - min(decay, (1 + int(number)) / (10 + int(number)))
        for old, new in zip(average, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:
                old.copy_(new)

    average = AveragedModel(model, multi_avg_fn=follow, use_buffers=True)
    average.requires_grad_(False)  # DDP waits for the gradient of every parameter that requires one
    return average


def _refused(name: str, settings: Any, error: Exception) -> ConfigError:
    reason = str(error).partition("\n")[0]
    return ConfigError(f"{name} does not take {dict(settings)} ({reason}).")
