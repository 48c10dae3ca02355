"""Remove torch's wrappers from a model, and check what is inside."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from lightcars.errors import LightcarsError
from lightcars.models.image_model import ImageModel


def unwrap(model: Any) -> Any:
    """Return the module inside `torch.compile`, DataParallel, DistributedDataParallel and AveragedModel."""
    while True:
        if isinstance(model, DataParallel | DistributedDataParallel | AveragedModel):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod
        else:
            return model


def unwrap_model(model: object, refusal: str, error: type[LightcarsError]) -> ImageModel:
    """Return the model of this library inside `model`.

    Args:
        model: also wrapped.
        refusal: what only takes such models, as in "fuse takes a model of lightcars".
        error: raised for anything else.
    """
    found = unwrap(model)
    if not isinstance(found, ImageModel):
        raise error(f"{refusal}, not a {type(found).__name__}.")
    return found


def has_weights(model: nn.Module) -> bool:
    """Return whether no tensor of the model is on the meta device."""
    return not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


def require_weights(model: nn.Module, error: type[LightcarsError]) -> None:
    """Raise `error` for a model on the meta device."""
    if not has_weights(model):
        raise error("the model has no weights (it is on the meta device); build it elsewhere.")


def require_plain_weights(model: ImageModel, error: type[LightcarsError]) -> None:
    """Raise `error` for a model of which a weight is computed from others: pruned or parametrized."""
    for name, layer in model.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if "weight" not in dict(layer.named_parameters(recurse=False)):
            raise error(
                f"the weight of {name} is computed at each call (parametrized, or pruned); make it a plain"
                " one first, with torch.nn.utils.parametrize.remove_parametrizations or"
                " torch.nn.utils.prune.remove."
            )
