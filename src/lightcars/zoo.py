"""Create models by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Unpack, cast, overload

import torch

from lightcars.errors import ConfigError, UnknownModelError, did_you_mean
from lightcars.models.backbone import OUTPUT_STRIDES, Backbone
from lightcars.models.build import build_model
from lightcars.models.config import ModelConfig
from lightcars.models.efficientnet.config import EfficientNetChanges
from lightcars.models.efficientnet.model import EfficientNet
from lightcars.models.families import FAMILIES
from lightcars.models.ghostnet.config import GhostNetChanges
from lightcars.models.ghostnet.model import GhostNet
from lightcars.models.image_model import ImageModel
from lightcars.models.registry import find_model, list_models
from lightcars.models.validation import change_config
from lightcars.weights.catalog import find_foreign, find_tag

__all__ = ["create_model", "efficientnet", "ghostnet", "list_models"]


@overload
def create_model(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    features_only: Literal[False] = False,
    **changes: Any,
) -> ImageModel: ...


@overload
def create_model(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    features_only: Literal[True],
    out_indices: Iterable[int] | None = None,
    output_stride: int = 32,
    **changes: Any,
) -> Backbone: ...


def create_model(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    features_only: bool = False,
    out_indices: Iterable[int] | None = None,
    output_stride: int = 32,
    **changes: Any,
) -> ImageModel | Backbone:
    """Create a registered model, in training mode with new weights or in evaluation mode with given ones.

    Args:
        name: one of `list_models()`.
        weights: a tag of `list_weights(name)` ("imagenet", "torchvision", "ns_jft", ...), a repository on
            the Hugging Face Hub ("owner/name", "owner/name@revision"), a folder, or a `.safetensors` or
            PyTorch file of lightcars or of a library that `lightcars convert --help` lists.
        device: where the weights are initialized or loaded to, directly; None is torch's default device.
        dtype: of its floating-point tensors; None is torch's default dtype.
        features_only: return a `Backbone`, whose forward returns maps, without head and classifier.
        out_indices, output_stride: which maps it returns, and the stride of the last one; see
            `ImageModel.backbone`.
        changes: settings that replace the registered ones: `num_classes`, `img_channels`, `dropout`,
            `out_channels`, `width`, `resolution`, and those of the family's config. With `weights`, settings
            that are left out are the weights' own; another `num_classes`, `img_channels` or `out_channels`
            is fitted, and `model.origin` tells what was kept, adapted and reinitialized.

    Raises:
        UnknownModelError: no such name.
        ConfigError: a setting that the family does not have, or an invalid value.
        UnknownWeightsError, DownloadError, CheckpointError: weights that are not known, cannot be fetched, or
            do not fit.

    >>> create_model("ghostnet_100", num_classes=196, img_channels=1).config.img_channels
    1
    """
    if not features_only:
        if out_indices is not None or output_stride != OUTPUT_STRIDES[-1]:
            raise ConfigError("out_indices and output_stride are for features_only=True.")
        return _make(name, weights, device, dtype, changes)
    model = _make(name, weights, device, dtype, {"num_classes": 0, **changes})
    return Backbone(
        model.stem, model.blocks, model.feature_info, out_indices=out_indices, output_stride=output_stride
    ).train(model.training)


def efficientnet(
    variant: str = "b0",
    *,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    **changes: Unpack[EfficientNetChanges],
) -> EfficientNet:
    """Create an EfficientNet: (N, img_channels, H, W) -> (N, num_classes).

    Args:
        variant: "b0" to "b7", the published sizes, or "lite0" to "lite4".
        weights, device, dtype: as for `create_model`.
        changes: settings that replace the variant's: `width`, `depth`, `resolution`, `num_classes`,
            `img_channels`, `out_channels`, `dropout`, `drop_path`, `padding`, `batch_norm_eps`,
            `batch_norm_momentum`, `activation`, `squeeze_reduction`, `fixed_ends`, `stages` (see
            `EfficientNetConfig`).

    Source: Tan and Le, arXiv 1905.11946.

    >>> efficientnet("b3", num_classes=196).config.resolution
    300
    """
    name = _registered("efficientnet", variant, weights)
    return cast(EfficientNet, _make(name, weights, device, dtype, cast(dict[str, Any], changes)))


def ghostnet(
    variant: str | None = None,
    *,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    **changes: Unpack[GhostNetChanges],
) -> GhostNet:
    """Create a GhostNet: (N, img_channels, H, W) -> (N, num_classes).

    Args:
        variant: "050", "100" or "130" (Huawei's widths), or "thesis" (the form of the 2020 thesis); None is
            that of weights which ship with lightcars, such as "cars196-ghostnet", and "100" otherwise.
        weights, device, dtype: as for `create_model`.
        changes: settings that replace the variant's: `width`, `num_classes`, `img_channels`,
            `out_channels`, `dropout`, `drop_path`, `resolution`, `form`, `blocks` (see `GhostNetConfig`).

    Source: Han et al., arXiv 1911.11907.

    >>> ghostnet(num_classes=196, img_channels=1, dropout=0.3, out_channels=320, width=1.0).config.width
    1.0
    """
    name = _registered("ghostnet", variant, weights)
    return cast(GhostNet, _make(name, weights, device, dtype, cast(dict[str, Any], changes)))


def _make(
    name: str,
    weights: str | Path | None,
    device: str | torch.device | None,
    dtype: torch.dtype | None,
    changes: dict[str, Any],
) -> ImageModel:
    config = change_config(_config(name), changes)
    if weights is None:
        model = build_model(config, device=device)
        return model if dtype is None else model.to(dtype)
    from lightcars.weights.pretrained import load_pretrained

    return load_pretrained(name, weights, changes, device=device, dtype=dtype)


def _config(name: str) -> ModelConfig:
    """Return the config of a registered name; the error for one of timm's or torchvision's gives ours."""
    try:
        return find_model(name).config
    except UnknownModelError:
        entry = find_foreign(name)
        if entry is None:
            raise
        raise UnknownModelError(
            f"no model named {name!r}; here it is {entry.model!r}, and its weights are {entry.tag!r}."
        ) from None


def _registered(name: str, variant: str | None, weights: str | Path | None) -> str:
    """Return the registered name of a family's variant; None is that of shipped weights, or the default."""
    family = FAMILIES[name]
    if variant is None:
        models = [family.registered(each) for each in family.variants]
        entry = find_tag(weights, models) if isinstance(weights, str) else None
        if entry is not None:
            return entry.model
        variant = family.default
    if variant not in family.variants:
        known = list(family.variants)
        raise UnknownModelError(
            f"{name} has no variant {variant!r}.{did_you_mean(variant, known)} It has {', '.join(known)}."
        )
    return family.registered(variant)
