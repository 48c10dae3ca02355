"""A model with weights from anywhere: found, translated, fitted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from lightcars.errors import CheckpointError
from lightcars.models.build import resolve_device
from lightcars.models.image_model import ImageModel
from lightcars.models.origin import WeightsOrigin
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.registry import AnyConfig, find_model
from lightcars.models.validation import change_config
from lightcars.weights.adapt import CLASSIFIER, Fitted, config_of, fit
from lightcars.weights.catalog import TENSORFLOW, TORCHVISION_B5_TO_B7, find_tag
from lightcars.weights.checkpoint import take_card
from lightcars.weights.convert.translate import recognize, to_lightcars
from lightcars.weights.locate import Located, locate
from lightcars.weights.tensors import read_tensors

ENDS = ("num_classes", "img_channels", "out_channels")
STRUCTURE = ("width", "depth", "stages", "blocks", "form")
DECIDING = ("padding", "batch_norm_eps")


def load_pretrained(
    name: str,
    weights: str | Path,
    changes: Mapping[str, Any],
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> ImageModel:
    """The registered model `name` with `weights`, changed as asked, in evaluation mode.

    What `changes` does not say is the weights' own: number of classes, image channels, padding, batch norms.

    Args:
        name: of a registered model.
        weights: a tag, a repository on the Hub, a folder or a file; see `locate`.
        changes: settings of the model's config.
        device: where the tensors are loaded to, directly; None is torch's default device.
        dtype: of all floating-point tensors; None is torch's default dtype.

    Raises:
        UnknownWeightsError, DownloadError: they cannot be found or fetched.
        CheckpointError: they are broken, or do not fit; all names are listed.
    """
    target = resolve_device(device)
    located = locate(weights, name)
    if located.architecture is not None and located.architecture != name:
        raise CheckpointError(f"{located.origin} is for {located.architecture}, not for {name}.")
    raw = read_tensors(located.path, target)
    source = recognize(raw)
    if source is None:
        few = ", ".join(list(raw)[:3])
        raise CheckpointError(
            f"{located.path} has no names that are known here (first: {few}); it must come from lightcars,"
            " timm, torchvision, EfficientNet-PyTorch, Huawei or the thesis."
        )
    _check_structure(located, change_config(find_model(name).config, changes), name)
    settings, guess = _settings(located, source, name, changes)
    wanted = change_config(find_model(name).config, {**settings, **changes})
    tensors = to_lightcars(raw, wanted, source)
    theirs = config_of(tensors, replace(wanted, **_own_ends(name, changes)))
    if located.card is not None and located.card.config.num_classes == 0:
        theirs = replace(theirs, num_classes=0)
    elif CLASSIFIER not in tensors and "num_classes" not in changes:
        raise CheckpointError(f"{located.origin} has no classifier; give num_classes for a new one.")
    config = change_config(theirs, {key: value for key, value in changes.items() if key in ENDS})
    fitted = fit(
        config,
        tensors,
        theirs=theirs,
        origin=located.origin,
        device=target,
        dtype=dtype or torch.get_default_dtype(),
    )
    return _finish(fitted, located, source, guess, theirs)


def _settings(
    located: Located, source: str, name: str, changes: Mapping[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """What the weights say of the model besides its structure, and what had to be guessed of it."""
    if located.card is not None:
        own = asdict(located.card.config)
        return {key: value for key, value in own.items() if key not in (*STRUCTURE, *ENDS)}, None
    if located.exact or not name.startswith("efficientnet"):
        return dict(located.settings), None
    return _form(located, source, name, changes)


def _form(
    located: Located, source: str, name: str, changes: Mapping[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """Padding and batch norms of an EfficientNet's file that comes alone."""
    if source == "lukemelas":
        return dict(TENSORFLOW), None
    if source == "torchvision":
        return dict(TORCHVISION_B5_TO_B7 if name[-1] in "567" else {}), None
    if changes.get("padding") == "same" or changes.get("batch_norm_eps") == TENSORFLOW["batch_norm_eps"]:
        return dict(TENSORFLOW), None  # said by half of its signs
    if any(key in changes for key in DECIDING):
        return {}, None
    return _guess(located)


def _check_structure(located: Located, wanted: AnyConfig, name: str) -> None:
    """A folder of ours says what is in it, so that the error need not list every tensor."""
    if located.card is None:
        return
    theirs = located.card.config
    shipped = find_tag(located.origin) is not None
    advice = "leave that out" if shipped else f"open it with lightcars.load({located.origin!r})"
    if type(theirs) is not type(wanted):
        kind = type(theirs).__name__.removesuffix("Config")
        raise CheckpointError(f"{located.origin} holds a model of the family {kind}, not {name}; {advice}.")
    keys = [field.name for field in fields(theirs) if field.name in STRUCTURE]
    different = [key for key in keys if getattr(theirs, key) != getattr(wanted, key)]
    if different:
        shown = ", ".join(
            f"{key} {getattr(theirs, key)}" if key in {"width", "depth", "form"} else f"other {key}"
            for key in different
        )
        raise CheckpointError(f"{located.origin} holds a model with {shown}, which {name} has not; {advice}.")


def _guess(located: Located) -> tuple[dict[str, Any], str]:
    """Names of timm, or of ours without the `config.json`: they tell neither padding nor eps."""
    is_tensorflow = "tf_" in located.path.name
    settings = dict(TENSORFLOW) if is_tensorflow else {}
    taken = "TensorFlow's form (timm's tf_)" if is_tensorflow else "PyTorch's own form (timm's without tf_)"
    other = "padding='symmetric'" if is_tensorflow else "padding='same'"
    guess = f"{located.path.name} is taken for {taken}; if it is not, say {other}"
    warnings.warn(guess, stacklevel=7)
    return settings, guess


def _own_ends(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The registered values of what the caller changes at the ends, for tensors that do not tell theirs."""
    return {key: getattr(find_model(name).config, key) for key in ENDS if key in changes}


def _finish(
    fitted: Fitted, located: Located, source: str, guess: str | None, theirs: AnyConfig
) -> ImageModel:
    model = fitted.model
    model.origin = WeightsOrigin(
        weights=located.origin,
        source=source,
        kept=fitted.kept,
        adapted=fitted.adapted,
        initialized=fitted.initialized,
        guess=guess,
        license=located.license,
    )
    card = located.card
    preprocessing = card.preprocessing if card else located.preprocessing
    if preprocessing is not None:
        model.preprocessing = for_channels(preprocessing, model.config.img_channels)
    if CLASSIFIER not in fitted.initialized and model.config.num_classes == theirs.num_classes:
        if card is not None:
            take_card(model, card, located.path.parent)
        else:
            model.classes = located.classes()
    return model.eval()


def for_channels(preprocessing: Preprocessing, img_channels: int) -> Preprocessing:
    """The same for another number of channels: the average for one, repeated in turn for more."""
    before = len(preprocessing.mean)
    if img_channels == before:
        return preprocessing

    def spread(values: tuple[float, ...]) -> tuple[float, ...]:
        if img_channels == 1:
            return (sum(values) / before,)
        return tuple(values[position % before] for position in range(img_channels))

    return replace(preprocessing, mean=spread(preprocessing.mean), std=spread(preprocessing.std))
