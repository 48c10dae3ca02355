"""Adapt weights to a model with other image channels, width or classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightcars.errors import CheckpointError
from lightcars.models.build import build_skeleton
from lightcars.models.config import ModelConfig
from lightcars.models.image_model import ImageModel
from lightcars.models.validation import change_config, has_setting

STEM = "stem.conv.weight"
CLASSIFIER = "classifier.weight"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model with its weights, and the names of the tensors that were changed."""

    model: ImageModel
    kept: int
    adapted: tuple[str, ...]
    initialized: tuple[str, ...]


def config_of(tensors: Mapping[str, Tensor], base: ModelConfig) -> ModelConfig:
    """Return `base` with the image channels, width before the classifier and classes of the tensors."""
    seen: dict[str, Any] = {}
    if STEM in tensors and tensors[STEM].ndim == 4 and tensors[STEM].shape[1]:
        seen["img_channels"] = tensors[STEM].shape[1]
    if CLASSIFIER in tensors and tensors[CLASSIFIER].ndim:
        seen["num_classes"] = tensors[CLASSIFIER].shape[0]
    width = _width_before_classifier(tensors)
    if width not in (0, base.head_channels) and has_setting(base, "out_channels"):
        seen["out_channels"] = width
    config: ModelConfig = change_config(base, seen)
    return config


def fit(
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    *,
    theirs: ModelConfig,
    origin: str,
    device: torch.device,
    dtype: torch.dtype | None = None,
) -> Fitted:
    """Build the model of `config` around the tensors, without a second copy of its weights.

    Where `config` differs from `theirs`, the stem is adapted to its image channels, and layers of
    another width are reinitialized. Everything else must fit.

    Args:
        config: of the model that is wanted.
        tensors: under our names; assigned, not copied, where they need no change.
        theirs: the config that the tensors fit, without classes if they have no classifier.
        origin: named in errors.
        device: where the tensors are; new ones are made there.
        dtype: of all floating-point tensors; None leaves each as it is.

    Raises:
        CheckpointError: tensors that are missing, unexpected or of another shape; all are listed.
    """
    model = build_skeleton(config)
    dropped = _reinitialized(model, config, theirs)
    ready = {name: tensor for name, tensor in tensors.items() if not name.startswith(dropped)}
    adapted: tuple[str, ...] = ()
    stem = ready.get(STEM)
    if config.img_channels != theirs.img_channels and stem is not None and stem.ndim == 4 and stem.shape[1]:
        ready[STEM] = fit_image_channels(ready[STEM], config.img_channels)
        adapted = (STEM,)
    if dtype is not None:
        ready = {name: t.to(dtype) if t.is_floating_point() else t for name, t in ready.items()}
    wanted = model.state_dict()
    check_fits({name: t for name, t in wanted.items() if not name.startswith(dropped)}, ready, origin)
    initialized = tuple(name for name in wanted if name.startswith(dropped))
    model.load_state_dict(ready, strict=False, assign=True)
    for layer in dropped:
        _initialize(model, layer.removesuffix("."), device, dtype)
    return Fitted(model, len(ready) - len(adapted), adapted, initialized)


def fit_image_channels(weight: Tensor, img_channels: int) -> Tensor:
    """Return the first convolution's weight (out, C, k, k) for another number of image channels.

    One channel: the sum over C, so that a gray image repeated in C channels gives the same. More: repeated in
    turn and scaled by C / img_channels, so that the sum stays.
    """
    before = weight.shape[1]
    if img_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, -(-img_channels // before), 1, 1)[:, :img_channels]
    return repeated * (before / img_channels)


def check_fits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], origin: str) -> None:
    """Raise CheckpointError with all that is missing, unexpected, mis-shaped or of another kind."""
    common = [(name, tensor, found[name]) for name, tensor in wanted.items() if name in found]
    misshaped = [f"{n} {tuple(f.shape)} for {tuple(w.shape)}" for n, w, f in common if f.shape != w.shape]
    kinds = [f"{n} of {f.dtype}" for n, w, f in common if f.is_floating_point() != w.is_floating_point()]
    problems = [
        f"{label} {', '.join(names)}"
        for label, names in (
            ("missing:", [name for name in wanted if name not in found]),
            ("unexpected:", [name for name in found if name not in wanted]),
            ("mis-shaped:", misshaped),
            ("of another type:", kinds),
        )
        if names
    ]
    if problems:
        raise CheckpointError(f"the weights in {origin} do not fit the model; {'; '.join(problems)}.")


def _width_before_classifier(tensors: Mapping[str, Tensor]) -> int:
    """Return the channels after the neck, or after the head where there is no neck; 0 if unknown."""
    for part in ("neck.", "head."):
        weights = sorted(name for name in tensors if name.startswith(part) and name.endswith(".weight"))
        if weights:
            return tensors[weights[-1]].shape[0] if tensors[weights[-1]].ndim else 0
    return 0


def _reinitialized(model: ImageModel, config: ModelConfig, theirs: ModelConfig) -> tuple[str, ...]:
    """Prefixes of the layers whose shapes the change makes impossible to keep."""
    widened = config.head_channels != theirs.head_channels
    layers: list[str] = []
    if widened:
        layers.append(f"{model.last_part}.")
    if widened or config.num_classes != theirs.num_classes:
        layers.append("classifier.")
    return tuple(layers)


def _initialize(model: ImageModel, layer: str, device: torch.device, dtype: torch.dtype | None) -> None:
    module = model.get_submodule(layer)
    module.to_empty(device=device)
    model.initialize_layers(module)
    if dtype is not None:
        module.to(dtype)
