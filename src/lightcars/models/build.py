"""From a config to a module with fresh weights, on the device where it is wanted."""

from __future__ import annotations

from contextlib import nullcontext

import torch

from lightcars.errors import ConfigError, DeviceError
from lightcars.models.efficientnet.config import EfficientNetConfig
from lightcars.models.efficientnet.model import EfficientNet
from lightcars.models.ghostnet.config import GhostNetConfig
from lightcars.models.ghostnet.model import GhostNet
from lightcars.models.image_model import ImageModel
from lightcars.models.registry import AnyConfig


def resolve_device(device: str | torch.device | None) -> torch.device:
    """Return the device, checked to be available; None is torch's default device."""
    if device is None:
        return torch.get_default_device()
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f"{device!r} is not a device; use 'cpu', 'cuda', 'cuda:0' or 'mps'.") from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError("this machine or this torch has no CUDA device; use device='cpu'.")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceError(f"there is no {resolved}: the CUDA devices are cuda:0 to cuda:{count - 1}.")
    if resolved.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("this machine has no MPS device; use device='cpu'.")
    return resolved


def build_skeleton(config: AnyConfig) -> ImageModel:
    """The model on the meta device: its structure and shapes, no memory for weights."""
    return _build_on(torch.device("meta"), config)


def _build_on(device: torch.device, config: AnyConfig) -> ImageModel:
    already = device == torch.get_default_device()
    with nullcontext() if already else device:  # the context intercepts every call of torch
        if isinstance(config, EfficientNetConfig):
            return EfficientNet(config)
        if isinstance(config, GhostNetConfig):
            return GhostNet(config)
    raise ConfigError(f"{type(config).__name__} is not the config of a model family.")


def build_model(config: AnyConfig, *, device: str | torch.device | None = None) -> ImageModel:
    """Return the model of `config` with fresh weights, in training mode.

    Args:
        config: of a model family.
        device: of its tensors; None is torch's default device.
    """
    return _build_on(resolve_device(device), config)
