"""Read what an image classifier states about its input: of this library, timm, torchvision or your own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightcars.errors import ConfigError, InputError, LightcarsError
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing, timm_preprocessing

_NORMS = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierInfo:
    """Input and outputs of an image classifier, as far as it states them.

    Attributes:
        name: class name of the model.
        channels: of its input.
        resolution: pixels of its square input; None where the model does not state it.
        preprocessing: what its weights expect of their input, if known.
        classes: names of its outputs in order, if known.
        temperature: logits are divided by it before the softmax.
        license: of the weights, if known.
    """

    name: str
    channels: int
    resolution: int | None
    preprocessing: Preprocessing | None
    classes: tuple[str, ...] | None
    temperature: float
    license: str | None

    def resolution_or(self, resolution: int | None) -> int:
        """Return the resolution that is asked for, else the model's own.

        Raises:
            ConfigError: neither is known.
        """
        chosen = self.resolution if resolution is None else resolution
        if chosen is None:
            raise ConfigError(f"{self.name} does not state its input size; give one, such as 224.")
        return chosen


def describe(model: nn.Module) -> ClassifierInfo:
    """Read what a model states about its input and outputs.

    Models of other libraries may have an attribute `preprocessing` (a `lightcars.Preprocessing`) and
    `classes`; for timm's models, preprocessing and resolution come from their `pretrained_cfg`.
    """
    if isinstance(model, ImageModel):
        known = model.preprocessing
        return ClassifierInfo(
            name=type(model).__name__,
            channels=model.config.img_channels,
            resolution=model.config.resolution if known is None else known.resolution,
            preprocessing=known,
            classes=model.classes,
            temperature=model.temperature,
            license=None if model.origin is None else model.origin.license,
        )
    given = getattr(model, "preprocessing", None)
    channels = _input_channels(model)
    preprocessing = given if isinstance(given, Preprocessing) else _timm_preprocessing(model, channels)
    classes = getattr(model, "classes", None)
    named = isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes)
    return ClassifierInfo(
        name=type(model).__name__,
        channels=channels if preprocessing is None else len(preprocessing.mean),
        resolution=None if preprocessing is None else preprocessing.resolution,
        preprocessing=preprocessing,
        classes=tuple(classes) if named and classes else None,
        temperature=1.0,
        license=None,
    )


def is_untrained(model: nn.Module) -> bool:
    """Return whether a model's weights are as initialized: no batch norm has seen a batch.

    False for models without batch norms, of which this cannot be known.
    """
    if getattr(model, "origin", None) is not None:
        return False
    norms = [layer for layer in model.modules() if isinstance(layer, _NORMS)]
    tracked = [norm for norm in norms if norm.running_mean is not None]
    return bool(tracked) and not any(_has_statistics(norm) for norm in tracked)


def run_classifier(model: nn.Module, images: Tensor) -> Tensor:
    """Return a model's logits, (N, num_classes).

    Raises:
        InputError: the model fails on the images, or returns something else; the reason is one line.
    """
    name, shape = type(model).__name__, tuple(images.shape)
    try:
        logits = model(images)
    except LightcarsError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0][:300] if lines else type(error).__name__
        raise InputError(f"{name} does not take images of shape {shape}: {reason}") from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        kind = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"{name} is not an image classifier: for images of shape {shape} it returns {kind}, not logits of"
            f" shape ({len(images)}, classes)."
        )
    return logits


def _has_statistics(norm: Any) -> bool:
    return bool(norm.num_batches_tracked) or bool(torch.count_nonzero(norm.running_mean))


def _input_channels(model: nn.Module) -> int:
    """Return the input channels of the first convolution; 3 where there is none."""
    convolutions = (layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    first = next(convolutions, None)
    return 3 if first is None else first.in_channels


def _timm_preprocessing(model: nn.Module, channels: int) -> Preprocessing | None:
    """Return the preprocessing in timm's `pretrained_cfg`; None where it is missing or not expressible."""
    config = getattr(model, "pretrained_cfg", None)
    try:
        preprocessing = timm_preprocessing(config) if isinstance(config, Mapping) else None
    except ConfigError:
        return None
    return preprocessing if preprocessing and len(preprocessing.mean) == channels else None
