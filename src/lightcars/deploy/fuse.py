"""A model for inference only: batch norms folded away, layers merged, memory laid out for speed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import singledispatch
from typing import Any, NoReturn, TypeAlias, cast, final

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from lightcars.deploy.fused_layers import FusedBlock, FusedConv, FusedGhost, FusedSqueezeExcite
from lightcars.deploy.onednn import can_prepare, kernel, suits
from lightcars.errors import FusionError
from lightcars.layers import (
    BlockSequence,
    BranchedConv,
    Composite,
    ConvAct,
    ConvNormAct,
    GhostModule,
    GlobalAveragePool,
    SqueezeExcite,
    is_residual,
)
from lightcars.models.alterations import actual_config, require_unaltered
from lightcars.models.image_model import ImageModel
from lightcars.models.unwrapping import require_plain_weights, unwrap_model

Function: TypeAlias = Callable[[Tensor], Tensor]
Parts: TypeAlias = tuple[Function, Iterable[Function], Function]
"""Stem, blocks, head."""


@final
class FusedModel(ImageModel):
    """A model for inference: same input and outputs as the original, but it cannot train.

    Its parameters are not those of its config. It pickles, copies, exports and compiles, but a checkpoint is
    saved from the model that it was made from. On a CPU its backbone runs as the functions of
    `lightcars.deploy.onednn`, made at the first call; elsewhere its modules run themselves.

    Args:
        model: in evaluation mode; its classifier becomes this model's.
    """

    fused = True

    def __init__(self, model: ImageModel) -> None:
        super().__init__(
            model.config,
            stem=_fused(model.stem),
            blocks=BlockSequence(*(_fused(block) for block in model.blocks)),
            head=_fused(model.head),
            pool=GlobalAveragePool() if isinstance(model.pool, GlobalAveragePool) else model.pool,
            neck=_fused_neck(model.neck),
            classifier=model.classifier,
        )
        self.dropout = nn.Identity()
        self.take_description(model)
        self._prepared: Parts | None = None
        self.requires_grad_(False).to(memory_format=torch.channels_last)
        self.eval()

    def _parts(self, x: Tensor) -> Parts:
        """Return the modules, or faster functions that do the same where these apply."""
        if suits(x):
            if self._prepared is None and can_prepare(self.parameters()):
                self._prepared = (
                    kernel(self.stem),
                    [kernel(block) for block in self.blocks],
                    kernel(self.head),
                )
            if self._prepared is not None:
                return self._prepared
        return self.stem, self.blocks, self.head

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, img_channels, H, W) -> the last map, (N, feature_channels, h, w)."""
        self._check(x)
        stem, blocks, head = self._parts(x)
        x = stem(x)
        for block in blocks:
            x = block(x)
        return head(x)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the last map at each stride, as `feature_info` describes them."""
        self._check(x)
        stem, blocks, _ = self._parts(x)
        wanted = {info.block for info in self.feature_info}
        x = stem(x)
        maps = []
        for position, block in enumerate(blocks):
            x = block(x)
            if position in wanted:
                maps.append(x)
        return maps

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles prepare their own: weights in oneDNN's layout can be neither."""
        return {**self.__dict__, "_prepared": None}

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self._prepared = None  # to another device or precision
        return super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._prepared = None
        super()._load_from_state_dict(*args, **kwargs)

    def train(self, mode: bool = True) -> FusedModel:
        """Only `train(False)`, which is `eval()`, is possible."""
        return _refuse("train") if mode else super().train(False)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:  # noqa: ARG002
        """Raise FusionError: not supported for fused models."""
        _refuse(f"take a new classifier of {num_classes} classes")

    def initialize_layers(self, module: nn.Module) -> None:
        """Raise FusionError: not supported for fused models."""
        _refuse(f"initialize new weights for a {type(module).__name__}")

    def gradient_checkpointing(self, enabled: bool = True) -> None:
        """Raise FusionError: not supported for fused models."""
        if enabled:
            _refuse("trade time for memory in training")


def _refuse(what: str) -> NoReturn:
    raise FusionError(
        f"a fused model cannot {what}: its batch norms are folded; use the original model"
        " (load it again if necessary) and fuse the result."
    )


@torch.inference_mode(mode=False)
@torch.no_grad()
def fuse(model: ImageModel) -> ImageModel:
    """Return a copy of the model for inference: the same logits, in about half the time.

    Every batch norm is folded into the convolution or linear layer before it; dropout and stochastic depth
    are removed; weights are channels_last. On a CPU in float32 convolution and activation are one operator of
    oneDNN, which keeps a second copy of the weights in its own layout, made at the first call.

    Args:
        model: one of this library's, in training or evaluation mode, on any device, of any precision, also
            wrapped by `torch.compile`, DataParallel, DDP or `AveragedModel`. It is not changed. A fused one
            is returned as it is.

    Returns:
        A model in evaluation mode with the same config, classes, preprocessing, `forward_features`,
        `forward_head` and `features`. Maps may be channels_last in memory. It cannot be trained or saved as a
        checkpoint: keep or load the model that it was made from.

    Raises:
        FusionError: not a model of this library, a layer before its classifier was replaced or set otherwise
            (they are named), or a weight is parametrized or pruned.

    >>> from lightcars import ghostnet
    >>> fuse(ghostnet()).training
    False
    """
    model = unwrap_model(model, "fuse takes a model of lightcars", FusionError)
    if isinstance(model, FusedModel):
        return model
    require_known_layers(model)
    own = copy.deepcopy(model).eval()
    own.config = actual_config(model)
    return FusedModel(own)


def require_known_layers(model: ImageModel) -> None:
    """Raise FusionError for weights that are computed, and for layers that are not those of the config.

    The classifier may be any module: it runs as it is.
    """
    require_plain_weights(model, FusionError)
    refusal = "fuse and optimize know the layers of a model's config"
    require_unaltered(model, refusal, FusionError, except_for=("classifier", "dropout"))


@singledispatch
def _fused(layer: nn.Module) -> nn.Module:
    """Return what does the same in evaluation mode; of a block it needs to know `Residual` only.

    A layer without tensors and parts, such as a pooling, stays.
    """
    if is_residual(layer):
        shortcut = layer.shortcut
        passes = shortcut is None or isinstance(shortcut, nn.Identity)
        return FusedBlock(
            _without_identities(layer.branch),
            residual=shortcut is not None,
            shortcut=None if passes else cast(nn.Sequential, _fused(cast(nn.Module, shortcut))),
        )
    if not layer.state_dict() and not list(layer.children()):
        return layer
    raise FusionError(
        f"fuse does not know the layer {type(layer).__name__}; fuse the model before replacing layers."
    )


@_fused.register
def _(unit: ConvNormAct) -> FusedConv:
    act = None if isinstance(unit.act, nn.Identity) else unit.act
    return FusedConv(fuse_conv_bn_eval(unit.conv, unit.norm), act, pads_same=unit.pads_same)


@_fused.register
def _(unit: ConvAct) -> FusedConv:
    return FusedConv(unit.conv, None if isinstance(unit.act, nn.Identity) else unit.act)


@_fused.register
def _(unit: BranchedConv) -> FusedConv:
    return cast(FusedConv, _fused(unit.merged()))


@_fused.register
def _(block: Composite) -> Composite:
    for name, child in block.named_children():
        setattr(block, name, _fused(child))
    return block


@_fused.register
def _(layers: nn.ModuleList) -> nn.ModuleList:
    return nn.ModuleList(_fused(layer) for layer in layers)


@_fused.register
def _(squeeze: SqueezeExcite) -> FusedSqueezeExcite:
    reduce, expand = _as_linear(squeeze.reduce), _as_linear(squeeze.expand)
    return FusedSqueezeExcite(reduce, expand, act=squeeze.act, gate=squeeze.gate)


@_fused.register
def _(ghost: GhostModule) -> FusedGhost:
    primary, cheap = cast(FusedConv, _fused(ghost.primary)), cast(FusedConv, _fused(ghost.cheap))
    return FusedGhost(primary, cheap, out_channels=ghost.out_channels)


@_fused.register
def _(layers: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(*_without_identities(tuple(layers)))


def _without_identities(layers: tuple[nn.Module, ...]) -> list[nn.Module]:
    return [_fused(layer) for layer in layers if not isinstance(layer, nn.Identity)]


def _fused_neck(neck: nn.Module) -> nn.Module:
    """Return the layers between pooling and classifier, for a vector: 1x1 convolutions become linear."""
    if not isinstance(neck, nn.Sequential):
        return neck
    layers: list[nn.Module] = []
    for layer in neck:
        before = layers[-1] if layers else None
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and isinstance(before, nn.Linear):
            layers[-1] = fuse_linear_bn_eval(before, layer)
        else:
            layers.append(_as_linear(layer) if isinstance(layer, nn.Conv2d) else layer)
    return nn.Sequential(*layers)


def _as_linear(layer: nn.Conv2d | nn.Linear) -> nn.Linear:
    """Return a 1x1 convolution as a linear layer."""
    if isinstance(layer, nn.Linear):
        return layer
    linear = nn.Linear(layer.in_channels, layer.out_channels, bias=False, device="meta")
    linear.weight = nn.Parameter(layer.weight.flatten(1))
    linear.bias = cast(Any, layer.bias)  # torch's type forgets that there may be none
    return linear.eval()
