"""Send a model to another process of this library, through a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightcars.deploy.classifier import is_untrained
from lightcars.errors import ConfigError
from lightcars.models.image_model import ImageModel
from lightcars.weights.checkpoint import load, save


def write_model(model: nn.Module, path: Path, name: str) -> dict[str, Any]:
    """Write a model: one of this library as a checkpoint folder, any other one as a pickle.

    Args:
        model: to be written.
        path: of the folder or file, which must not exist.
        name: of the model, for the error.

    Returns:
        What `read_model` takes, as JSON.

    Raises:
        ConfigError: it cannot be pickled.
    """
    kind = "checkpoint"
    if isinstance(model, ImageModel):
        save(model, path)
    else:
        kind = "pickle"
        try:
            torch.save(model, path)
        except Exception as error:
            raise ConfigError(f"{name} cannot be sent to another process (pickled): {error}") from error
    return {"weights": str(path), "kind": kind, "untrained": is_untrained(model)}


def read_model(task: Mapping[str, Any], device: str | torch.device = "cpu") -> nn.Module:
    """Read what `write_model` has written, in this process's parent."""
    if task["kind"] == "checkpoint":
        return load(task["weights"], device=device)
    model: nn.Module = torch.load(task["weights"], map_location=device, weights_only=False)
    return model
