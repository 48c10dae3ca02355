"""Load the model that a command gets as its MODEL argument."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lightcars.errors import CheckpointError, ConfigError, DownloadError, UnknownWeightsError, did_you_mean
from lightcars.models.registry import MODELS
from lightcars.weights.catalog import find_tag

if TYPE_CHECKING:
    from lightcars.models.image_model import ImageModel

MODEL_HELP = (
    "Run folder of `lightcars finetune`, checkpoint folder, published weights, or a name from"
    " `lightcars list`."
)
FRESH = "fresh"
WEIGHTS_HELP = (
    "With a name from `lightcars list`: a tag of `lightcars weights`, a folder, a file, or"
    f" {FRESH} for random weights \\[default: imagenet]."
)


def is_registered(source: str) -> bool:
    """Return whether it is a registered name and not a folder."""
    return source in MODELS and not Path(source).is_dir()


def is_source(source: str) -> bool:
    """Return whether it is a folder or published weights, and not a registered name."""
    return os.path.isdir(source) or (source not in MODELS and find_tag(source) is not None)  # noqa: PTH112 - any text


def load_source(source: str, weights: str | None) -> ImageModel:
    """Load the model on the CPU, in evaluation mode."""
    import torch

    if is_registered(source):
        return _registered(source, weights)
    if weights is not None:
        raise ConfigError(
            f"--weights is for names from `lightcars list`, and {source} has weights of its own; leave it"
            " out."
        )
    if "/" not in source and not Path(source).is_dir() and find_tag(source) is None:
        raise CheckpointError(
            f"{source} is neither a folder here nor a model.{did_you_mean(source, MODELS)}"
            " See lightcars list."
        )
    from lightcars.runs.trained import load_model

    return load_model(source, torch.device("cpu"))


def _registered(name: str, weights: str | None) -> ImageModel:
    from lightcars.zoo import create_model

    if weights == FRESH:
        return create_model(name).eval()
    try:
        return create_model(name, weights=weights or "imagenet").eval()
    except (DownloadError, UnknownWeightsError) as error:
        if weights is not None:
            raise
        raise type(error)(f"{error} Random weights need no file: --weights {FRESH}.") from error
