"""Compare a model with its config: what a user replaced or set in it afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from lightcars.errors import LightcarsError
from lightcars.layers import DropPath
from lightcars.models.build import build_skeleton
from lightcars.models.config import ModelConfig
from lightcars.models.image_model import ImageModel
from lightcars.models.validation import change_config

CLASSIFIER = "classifier"
_FOR_TRAINING = {"training", "momentum", "p", "probability", "inplace", "recompute"}
"""Settings that change no output in evaluation mode."""
_SHOWN = 5


def actual_config(model: ImageModel) -> ModelConfig:
    """Return the config with the number of classes of the layer or identity that is the classifier."""
    head, config = model.classifier, model.config
    if type(head) is nn.Identity:
        num_classes = 0
    elif type(head) is nn.Linear and head.in_features == config.head_channels and head.bias is not None:
        num_classes = head.out_features
    elif type(head) is nn.Conv2d and head.in_channels == config.head_channels and head.kernel_size == (1, 1):
        num_classes = head.out_channels
    else:
        return config
    changed: ModelConfig = change_config(config, {"num_classes": num_classes})
    return changed


def alterations(model: ImageModel) -> list[str]:
    """Return in words what differs from a new model of `actual_config`, by module; empty for no difference.

    Exact types, settings that matter in evaluation mode, and the names and shapes of tensors are compared.
    """
    built = build_skeleton(actual_config(model))
    before, now = dict(built.named_modules()), dict(model.named_modules())
    changed = {path: _difference(module, now.get(path)) for path, module in before.items()}
    found = {path: said for path, said in changed.items() if said}
    found |= {path: "is an addition" for path in now if path not in before}
    outermost = {path: said for path, said in found.items() if not _is_inside(path, found)}
    outermost |= {
        name: said for name, said in _tensor_differences(built, model) if not _is_inside(name, outermost)
    }
    return [f"{path} {said}" for path, said in outermost.items()]


def require_unaltered(
    model: ImageModel, refusal: str, error: type[LightcarsError], *, except_for: tuple[str, ...] = ()
) -> None:
    """Raise `error` for a model that its config does not rebuild, naming what was changed.

    Args:
        model: not wrapped.
        refusal: what cannot be done, as in "save stores what the config rebuilds".
        error: the kind of error.
        except_for: parts of the model that may be others.
    """
    found = [one for one in alterations(model) if not one.startswith(except_for or ("\0",))]
    if found:
        shown = "; ".join(found[:_SHOWN])
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise error(f"{refusal}, and this model was changed: {shown}{more}.")


def _tensor_differences(before: nn.Module, now: nn.Module) -> Iterator[tuple[str, str]]:
    built, found = before.state_dict(), now.state_dict()
    for name in {**built, **found}:
        if name not in found or name not in built:
            yield name, "is missing" if name in built else "is an addition"
        elif found[name].shape != built[name].shape:
            yield name, f"has the shape {tuple(found[name].shape)} instead of {tuple(built[name].shape)}"


def _is_inside(path: str, others: dict[str, str]) -> bool:
    parts = path.split(".")
    return any(".".join(parts[:end]) in others for end in range(1, len(parts)))


def _difference(before: nn.Module, now: nn.Module | None) -> str:
    if now is None:
        return "is missing"
    if "forward" in vars(now):
        return "has a forward of its own"
    if type(now) is not type(before) and not _is_equivalent(before, now):
        kind, usual = type(now).__name__, type(before).__name__
        where = f" ({type(now).__module__})" if kind == usual else ""
        return f"is {_article(kind)} {kind}{where}, not {_article(usual)} {usual}"
    return ", ".join(_settings(before, now))


def _article(name: str) -> str:
    return "an" if name[0] in "AEIO" else "a"


def _is_equivalent(before: nn.Module, now: nn.Module) -> bool:
    """Return whether another type does the same in evaluation mode, with the same tensors."""
    if isinstance(before, nn.BatchNorm1d | nn.BatchNorm2d):
        return type(now) is nn.SyncBatchNorm
    passing = (_DropoutNd, DropPath, nn.Identity)
    return isinstance(before, passing) and isinstance(now, passing)


def _settings(before: nn.Module, now: nn.Module) -> Iterator[str]:
    for name, value in vars(before).items():
        if (
            name.startswith("_")
            or name in _FOR_TRAINING
            or not isinstance(value, bool | int | float | str | tuple)
        ):
            continue
        if hasattr(now, name) and (getattr(now, name) != value):
            yield f"has {name}={getattr(now, name)!r} instead of {value!r}"
