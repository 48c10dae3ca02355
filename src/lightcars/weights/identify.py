"""Identify the registered model of tensors."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor

from lightcars.errors import CheckpointError
from lightcars.models.build import build_skeleton
from lightcars.models.config import ModelConfig
from lightcars.models.registry import MODELS
from lightcars.models.validation import change_config
from lightcars.weights.adapt import CLASSIFIER, config_of
from lightcars.weights.among import find_model, with_classifier
from lightcars.weights.convert.translate import sources


def identify(tensors: Mapping[str, Tensor], origin: str) -> str:
    """Return the name of the registered model of tensors, for any number of classes and image channels.

    Args:
        tensors: under the names of any known source.
        origin: named in errors.

    Raises:
        CheckpointError: names that are not known, or a size that is not registered.
    """
    found = find_model(tensors, origin)
    for name, entry in MODELS.items():
        if found.source in sources(entry.config):
            ours = with_classifier(found, entry.config).tensors
            config = config_of(ours, entry.config)
            if CLASSIFIER not in ours:
                config = change_config(config, {"num_classes": 0})
            if _expected_shapes(cast(Hashable, config)) == _shapes(ours):
                return name
    raise CheckpointError(
        f"{origin} fits none of the registered models; name its model, or load custom sizes in Python"
        " (lightcars.create_model(..., weights=...))."
    )


@lru_cache(maxsize=256)
def _expected_shapes(config: Hashable) -> Mapping[str, torch.Size]:
    return _shapes(build_skeleton(cast(ModelConfig, config)).state_dict())


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
