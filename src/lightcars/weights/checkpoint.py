"""Checkpoints: a folder with `model.safetensors` (the tensors) and `config.json` (everything else)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lightcars.errors import CheckpointError, ConfigError
from lightcars.files import write_text
from lightcars.models.alterations import actual_config, require_unaltered
from lightcars.models.build import resolve_device
from lightcars.models.config import ModelConfig
from lightcars.models.decoding import NEWER, decode
from lightcars.models.families import FAMILIES, family_of
from lightcars.models.image_model import ImageModel
from lightcars.models.origin import WeightsOrigin
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.unwrapping import require_plain_weights, require_weights, unwrap_model
from lightcars.models.validation import require_positive
from lightcars.text import json_text
from lightcars.version import __version__
from lightcars.weights.adapt import fit
from lightcars.weights.familiarity import load_familiarity, save_familiarity
from lightcars.weights.hub import BEST, CONFIG_FILE
from lightcars.weights.tensors import read_tensors, write_tensors

WEIGHTS_FILE = "model.safetensors"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Content of `config.json`.

    Attributes:
        config: rebuilds the model.
        classes: names of the outputs in order, if known.
        preprocessing: what the weights expect, if known.
        temperature: what the logits are divided by for probabilities.
        familiar: whether a file beside it has the model's `Familiarity`.
        license: of the weights, or of those that they were trained from; None if it is not known.
    """

    config: ModelConfig
    classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    temperature: float = 1.0
    familiar: bool = False
    license: str | None = None


def save(
    model: ImageModel,
    folder: str | Path,
    *,
    classes: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Write `model.safetensors` and `config.json` into `folder`, each atomically.

    Args:
        model: one of this library's, on any device, also wrapped by `torch.compile`, DataParallel, DDP or
            `AveragedModel`. Its `temperature` goes with it, and its `familiarity` as a file of its own.
            A linear layer or identity that replaced its classifier is saved too.
        folder: made if it is not there; a checkpoint in it is replaced.
        classes: names of the outputs in order, one for each; None takes those that the model knows.
        preprocessing: what the weights expect of their input; None takes what the model knows.

    Raises:
        CheckpointError: not a model of this library, one without weights or with pruned or parametrized
            ones, one whose layers were replaced or set otherwise (they are named), or a number of classes
            that is not the model's.
        RunError: the folder cannot be written to.
    """
    model = unwrap_model(model, "save takes a model of lightcars", CheckpointError)
    if model.fused:
        raise CheckpointError("a fused model is not a checkpoint; save the model that it was made from.")
    require_plain_weights(model, CheckpointError)
    require_weights(model, CheckpointError)
    require_unaltered(model, "save stores what a model's config rebuilds", CheckpointError)
    config = actual_config(model)
    is_described = config == model.config  # else names and temperature are those of the classifier before
    if classes is None and is_described:
        classes = model.classes
    preprocessing = model.preprocessing if preprocessing is None else preprocessing
    if classes is not None and len(classes) != config.num_classes:
        raise CheckpointError(f"{len(classes)} class names for {config.num_classes} outputs.")
    familiarity = model.familiarity if is_described else None
    card = {
        "format": FORMAT,
        "lightcars_version": __version__,
        **describe_config(config),
        "classes": None if classes is None else list(classes),
        "preprocessing": None if preprocessing is None else asdict(preprocessing),
        "temperature": _temperature(model.temperature if is_described else 1.0),
        "familiarity": familiarity is not None,
    }
    if model.origin is not None and model.origin.license is not None:
        card["license"] = model.origin.license
    target = Path(folder)
    write_tensors(target / WEIGHTS_FILE, model.state_dict())
    save_familiarity(familiarity, target)
    write_text(target / CONFIG_FILE, json_text(card) + "\n")
    return target


def load(
    folder: str | Path, *, device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> ImageModel:
    """Return the model that `save` wrote, in evaluation mode.

    Args:
        folder: holds `model.safetensors` and `config.json`; for a run folder, the best epoch is loaded.
        device: where the tensors are loaded to; None is torch's default device.
        dtype: of all floating-point tensors; None leaves each as it was saved.

    Raises:
        CheckpointError: a missing or corrupt file, or tensors that do not fit the config: all missing,
            unexpected and mis-shaped ones are listed.
    """
    target = resolve_device(device)
    best = Path(folder) / BEST
    if (best / CONFIG_FILE).is_file() and not (Path(folder) / CONFIG_FILE).exists():
        folder = best
    card = read_card(folder)
    path = Path(folder) / WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} contains no {WEIGHTS_FILE}; copy it there again.")
    fitted = fit(
        card.config,
        read_tensors(path, target),
        theirs=card.config,
        origin=str(folder),
        device=target,
        dtype=dtype,
    )
    model = fitted.model
    model.origin = WeightsOrigin(
        weights=str(folder), source="lightcars", kept=fitted.kept, license=card.license
    )
    model.preprocessing = card.preprocessing
    take_card(model, card, Path(folder))
    return model.eval()


def take_card(model: ImageModel, card: Card, folder: Path) -> None:
    """Set what the folder of a model's weights says of its outputs."""
    model.classes, model.temperature = card.classes, card.temperature
    if card.familiar:
        device = next(model.parameters()).device
        num_features = sum(info.channels for info in model.feature_info)
        model.familiarity = load_familiarity(folder, device, num_features)


def read_card(folder: str | Path) -> Card:
    """Read the `config.json` in `folder`, without the weights."""
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} contains no {CONFIG_FILE}; give a folder that lightcars.save wrote.")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise ConfigError(f"format {card['format']!r}; {NEWER}")
        config = read_config(card)
        return Card(
            config=config,
            classes=_classes(card.get("classes"), config.num_classes),
            preprocessing=_preprocessing(card.get("preprocessing")),
            temperature=_temperature(card.get("temperature", 1.0)),
            familiar=card.get("familiarity") is True,
            license=_license(card.get("license")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, ConfigError) else str(error)
        raise CheckpointError(f"{path} is not a lightcars config ({reason}).") from error


def describe_config(config: ModelConfig) -> dict[str, Any]:
    """Return a model's config as plain data: its `family` and its `config`."""
    return {"family": family_of(config).name, "config": asdict(config)}


def read_config(data: dict[str, Any]) -> ModelConfig:
    """Return the config that `describe_config` described.

    Raises:
        ConfigError: an unknown family or setting, or a value of another type or out of range.
    """
    name = data["family"]
    if not isinstance(name, str) or name not in FAMILIES:
        raise ConfigError(f"unknown model family {name!r}; {NEWER}")
    return decode(FAMILIES[name].config, data["config"])


def _temperature(value: Any) -> float:
    require_positive("temperature", value)
    return float(value)


def _license(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError("license is not a text")
    return value


def _classes(names: list[str] | None, num_classes: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError("classes must be a list of names")
    if len(names) != num_classes:
        raise ConfigError(f"{len(names)} class names for {num_classes} outputs")
    return tuple(names)


def _preprocessing(data: dict[str, Any] | None) -> Preprocessing | None:
    return None if data is None else decode(Preprocessing, data)
