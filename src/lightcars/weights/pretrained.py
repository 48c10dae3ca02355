"""Load pretrained weights from anywhere into a registered model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from lightcars.errors import CheckpointError
from lightcars.models.build import resolve_device
from lightcars.models.config import ENDS, NUMERICS, TENSOR_FREE, ModelConfig
from lightcars.models.families import source_names
from lightcars.models.image_model import ImageModel
from lightcars.models.origin import WeightsOrigin
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.registry import find_model
from lightcars.models.tensor_names import Form
from lightcars.models.validation import change_config, has_setting
from lightcars.weights.adapt import CLASSIFIER, Fitted, config_of, fit
from lightcars.weights.catalog import find_tag
from lightcars.weights.checkpoint import take_card
from lightcars.weights.convert.translate import OURS, forms, recognize, to_lightcars
from lightcars.weights.locate import Located, locate
from lightcars.weights.tensors import read_tensors


def load_pretrained(
    name: str,
    weights: str | Path,
    changes: Mapping[str, Any],
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> ImageModel:
    """Return the registered model `name` with `weights` and `changes`, in evaluation mode.

    What `changes` leaves out is the weights' own: number of classes, image channels, padding, batch norms.

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
            f"{located.path} has no names that are known here (first: {few}); it must come from lightcars or"
            f" one of {', '.join(source_names())}."
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
    """Return the settings that belong to the weights beside their structure, and what had to be guessed."""
    if located.card is not None:
        own = asdict(located.card.config)
        return {key: value for key, value in own.items() if key in TENSOR_FREE}, None
    if located.exact:
        return dict(located.settings), None
    registered = find_model(name).config
    options = forms(registered, source)
    said = [key for key in NUMERICS if key in changes]
    if len(options) == 1:
        return dict(options[0].settings), None
    if said:  # by half of its signs, or something of the caller's own
        meant = [form for form in options if any(form.settings[key] == changes[key] for key in said)]
        return dict(meant[-1].settings) if meant else {}, None
    return _guess(located, source, registered, options)


def _check_structure(located: Located, wanted: ModelConfig, name: str) -> None:
    """Raise an error that names the difference, where a lightcars folder describes its model."""
    if located.card is None:
        return
    theirs = located.card.config
    shipped = find_tag(located.origin) is not None
    advice = "leave that out" if shipped else f"open it with lightcars.load({located.origin!r})"
    if type(theirs) is not type(wanted):
        kind = type(theirs).__name__.removesuffix("Config")
        raise CheckpointError(f"{located.origin} holds a model of the family {kind}, not {name}; {advice}.")
    keys = [field.name for field in fields(theirs) if field.name not in (*ENDS, *TENSOR_FREE)]
    different = [key for key in keys if getattr(theirs, key) != getattr(wanted, key)]
    if different:
        values = {key: getattr(theirs, key) for key in different}
        shown = ", ".join(
            f"other {key}" if isinstance(value, tuple) else f"{key} {value}" for key, value in values.items()
        )
        raise CheckpointError(f"{located.origin} holds a model with {shown}, unlike {name}; {advice}.")


def _guess(
    located: Located, source: str, registered: ModelConfig, options: tuple[Form, ...]
) -> tuple[dict[str, Any], str]:
    """Choose a form by the file's name, where the names of the tensors leave it open."""
    named = [form for form in options if form.prefix and form.prefix in located.path.name]
    usual = [form for form in options if (form.is_of(registered) if source == OURS else not form.prefix)]
    taken = (named or usual or options)[0]
    other = next(form for form in options if form is not taken)
    key = next(key for key in NUMERICS if taken.settings[key] != other.settings[key])
    guess = (
        f"{located.path.name} is taken for {taken.title}; if it is not, give {key}={other.settings[key]!r}"
    )
    warnings.warn(guess, stacklevel=6)
    return dict(taken.settings), guess


def _own_ends(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the registered values of the ends that the caller changes, where tensors do not show theirs."""
    config = find_model(name).config
    return {key: getattr(config, key) for key in ENDS if key in changes and has_setting(config, key)}


def _finish(
    fitted: Fitted, located: Located, source: str, guess: str | None, theirs: ModelConfig
) -> ImageModel:
    model, card = fitted.model, located.card
    model.origin = WeightsOrigin(
        weights=located.origin,
        source=source,
        kept=fitted.kept,
        adapted=fitted.adapted,
        initialized=fitted.initialized,
        guess=guess,
        license=located.license or (None if card is None else card.license),
    )
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
    """Return the same for another number of channels: the average for one, repeated in turn for more."""
    before = len(preprocessing.mean)
    if img_channels == before:
        return preprocessing

    def spread(values: tuple[float, ...]) -> tuple[float, ...]:
        if img_channels == 1:
            return (sum(values) / before,)
        return tuple(values[position % before] for position in range(img_channels))

    return replace(preprocessing, mean=spread(preprocessing.mean), std=spread(preprocessing.std))
