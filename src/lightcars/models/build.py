"""Build a model from its config, on a device."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, cast

import torch

from lightcars.compatibility import default_device
from lightcars.errors import DeviceError
from lightcars.models.config import ModelConfig
from lightcars.models.families import family_of
from lightcars.models.image_model import ImageModel


def resolve_device(device: str | torch.device | None) -> torch.device:
    """Return the device, checked to be available; None is torch's default device."""
    if device is None:
        return default_device()
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(
            f"{device!r} is not a device; use 'cpu', 'cuda', 'cuda:0', 'mps' or 'xpu'."
        ) from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError("this machine or this torch has no CUDA device; use device='cpu'.")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceError(f"there is no {resolved}: the CUDA devices are cuda:0 to cuda:{count - 1}.")
    if resolved.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("this machine has no MPS device; use device='cpu'.")
    if resolved.type not in ("cpu", "meta", "cuda", "mps"):
        _require_backend(resolved)
    return resolved


def _require_backend(device: torch.device) -> None:
    """Raise DeviceError for a device of another maker ("xpu", "hpu", ...) that cannot be used."""
    backend = getattr(torch, device.type, None)
    if backend is None:
        raise DeviceError(
            f"torch knows no backend for {device.type!r}; import its vendor's package first, or use"
            " device='cpu'."
        )
    if not backend.is_available():
        raise DeviceError(
            f"this machine or this torch has no {device.type.upper()} device; use device='cpu'."
        )
    if (device.index or 0) >= backend.device_count():
        raise DeviceError(f"there is no {device}: there are {backend.device_count()} {device.type} devices.")


def build_skeleton(config: ModelConfig) -> ImageModel:
    """Build the model on the meta device: its structure and shapes, no memory for weights."""
    return _build_on(torch.device("meta"), config)


def build_model(config: ModelConfig, *, device: str | torch.device | None = None) -> ImageModel:
    """Build the randomly initialized model of `config`, in training mode.

    Args:
        config: of a model family.
        device: of its tensors; None is torch's default device.
    """
    return _build_on(resolve_device(device), config)


def _build_on(device: torch.device, config: ModelConfig) -> ImageModel:
    kind = cast(Any, family_of(config).model_class())
    already = device == default_device()
    with nullcontext() if already else device:  # the context intercepts every call of torch
        model: ImageModel = kind(config)
    return model
