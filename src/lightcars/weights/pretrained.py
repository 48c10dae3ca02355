"""Load pretrained weights from anywhere into a registered model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NoReturn

import torch

from lightcars.errors import CheckpointError
from lightcars.models.build import build_skeleton, resolve_device
from lightcars.models.config import ENDS, NUMERICS, TENSOR_FREE, ModelConfig
from lightcars.models.image_model import ImageModel
from lightcars.models.origin import WeightsOrigin
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.registry import find_model as find_entry
from lightcars.models.tensor_names import Form
from lightcars.models.validation import change_config, has_setting
from lightcars.weights.adapt import CLASSIFIER, Fitted, check_fits, config_of, fit
from lightcars.weights.among import Found, find_model, shorten, with_classifier
from lightcars.weights.catalog import find_tag
from lightcars.weights.checkpoint import take_card
from lightcars.weights.convert.translate import OURS, forms
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
    found = find_model(read_tensors(located.path, target), str(located.path))
    _check_structure(located, change_config(find_entry(name).config, changes), name)
    settings, guess = _settings(located, found.source, name, changes)
    wanted = change_config(find_entry(name).config, {**settings, **changes})
    if located.card is None:
        found = with_classifier(found, wanted)
        if found.head and "num_classes" not in changes:
            _refuse_head(found, located, wanted)
        _warn_of_names(found, located)
    theirs = config_of(found.tensors, replace(wanted, **_own_ends(name, changes)))
    if CLASSIFIER not in found.tensors:
        if "num_classes" not in changes and not _has_none(located):
            raise CheckpointError(f"{located.origin} has no classifier; give num_classes for a new one.")
        theirs = replace(theirs, num_classes=0)
    config = change_config(theirs, {key: value for key, value in changes.items() if key in ENDS})
    fitted = fit(
        config,
        found.tensors,
        theirs=theirs,
        origin=located.origin,
        device=target,
        dtype=dtype or torch.get_default_dtype(),
    )
    return _finish(fitted, located, found, guess, theirs)


def _has_none(located: Located) -> bool:
    """Return whether a lightcars folder says that its model has no classifier."""
    return located.card is not None and located.card.config.num_classes == 0


def _refuse_head(found: Found, located: Located, wanted: ModelConfig) -> NoReturn:
    """Raise CheckpointError for a head that no classifier is like; first for a body that does not fit."""
    headless = change_config(config_of(found.tensors, wanted), {"num_classes": 0})
    check_fits(build_skeleton(headless).state_dict(), found.tensors, located.origin)
    raise CheckpointError(
        f"the head in {located.origin} ({', '.join(found.head)}) is not one linear layer of the model's"
        " width, as classifiers are here; give num_classes for a new classifier without it, or"
        " num_classes=0 for none, and load that head yourself."
    )


def _warn_of_names(found: Found, located: Located) -> None:
    """Name what is taken under another name, and what is ignored."""
    parts = [f"takes {found.classifier} as the classifier"] if found.classifier else []
    if found.ignored:
        parts.append(f"ignores {shorten(found.ignored)}")
    if parts:
        warnings.warn(f"{located.origin}: {'; '.join(parts)}.", stacklevel=6)


def _settings(
    located: Located, source: str, name: str, changes: Mapping[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """Return the settings that belong to the weights beside their structure, and what had to be guessed."""
    if located.card is not None:
        own = asdict(located.card.config)
        return {key: value for key, value in own.items() if key in TENSOR_FREE}, None
    if located.exact:
        return dict(located.settings), None
    registered = find_entry(name).config
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
        f"{located.path.name} is assumed to have {taken.title}; if it does not, give"
        f" {key}={other.settings[key]!r}"
    )
    warnings.warn(guess, stacklevel=6)
    return dict(taken.settings), guess


def _own_ends(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the registered values of the ends that the caller changes, where tensors do not show theirs."""
    config = find_entry(name).config
    return {key: getattr(config, key) for key in ENDS if key in changes and has_setting(config, key)}


def _finish(
    fitted: Fitted, located: Located, found: Found, guess: str | None, theirs: ModelConfig
) -> ImageModel:
    model, card = fitted.model, located.card
    model.origin = WeightsOrigin(
        weights=located.origin,
        source=found.source,
        kept=fitted.kept,
        adapted=fitted.adapted,
        initialized=fitted.initialized,
        guess=guess,
        ignored=found.ignored,
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
