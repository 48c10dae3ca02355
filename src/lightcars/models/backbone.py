"""A model without its head, as a module whose forward returns maps: for detectors and segmentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast, final

from torch import Tensor, nn

from lightcars.errors import ConfigError
from lightcars.layers import (
    AttentiveGhostModule,
    BlockSequence,
    BranchedConv,
    ConvAct,
    ConvNormAct,
    is_residual,
)
from lightcars.models.features import FeatureMap

OUTPUT_STRIDES = (8, 16, 32)


@final
class Backbone(nn.Module):
    """Stem and blocks of a model. (N, img_channels, H, W) -> maps, each (N, C, ceil(H / s), ceil(W / s)).

    It has no parameters behind its last map, so that DistributedDataParallel finds a gradient for each. Its
    tensors have the names that they have in the model.

    Args:
        stem, blocks: of the model; they become this module's.
        maps: what `features` of the model returns.
        out_indices: of the maps that are returned, in ascending order; None for all.
        output_stride: 8, 16 or 32: convolutions that would go beyond it have stride 1, and those behind them
            are dilated, as in DeepLab (Chen et al., arXiv 1706.05587).

    Attributes:
        feature_info: channels and stride of each map that is returned.

    Raises:
        ConfigError: an index or stride that does not exist, an even kernel, or blocks that cannot be
            dilated: composite ones, parallel branches, attention at half the resolution.
    """

    def __init__(
        self,
        stem: nn.Module,
        blocks: BlockSequence,
        maps: Sequence[FeatureMap],
        *,
        out_indices: Iterable[int] | None = None,
        output_stride: int = 32,
    ) -> None:
        super().__init__()
        if output_stride not in OUTPUT_STRIDES:
            raise ConfigError(f"output_stride must be 8, 16 or 32, not {output_stride!r}.")
        chosen = tuple(range(len(maps))) if out_indices is None else _indices(out_indices, len(maps))
        self.out_indices = chosen
        self.output_stride = output_stride
        self.feature_info = tuple(
            replace(maps[index], stride=min(maps[index].stride, output_stride)) for index in chosen
        )
        self.stem = stem
        kept = cast(BlockSequence, blocks[: self.feature_info[-1].block + 1])
        kept.recompute = blocks.recompute
        _dilate(kept, maps, output_stride)
        self.blocks = kept

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.blocks.collect(self.stem(x), [info.block for info in self.feature_info])

    def stages(self) -> nn.Sequential:
        """Return the same layers as one module for each map, for torchvision's `IntermediateLayerGetter`."""
        stages: list[nn.Module] = []
        start = 0
        for info in self.feature_info:
            blocks = list(self.blocks)[start : info.block + 1]
            stages.append(nn.Sequential(*blocks) if stages else nn.Sequential(self.stem, *blocks))
            start = info.block + 1
        return nn.Sequential(*stages)


def _indices(chosen: Iterable[int], count: int) -> tuple[int, ...]:
    """Return the indices from 0; negative ones count from the end."""
    given = tuple(chosen)
    found = tuple(index + count if index < 0 else index for index in given)
    if not found or list(found) != sorted(set(found)) or not 0 <= found[0] <= found[-1] < count:
        known = ", ".join(map(str, range(count)))
        raise ConfigError(f"out_indices must be some of {known} in ascending order, not {given}.")
    return found


def _dilate(blocks: BlockSequence, maps: Sequence[FeatureMap], output_stride: int) -> None:
    """Give the blocks beyond the output stride a stride of 1 and dilated kernels."""
    first = next((info.block + 1 for info in maps if info.stride == output_stride), len(blocks))
    dilation = 1
    for block in list(blocks)[first:]:
        dilation = max(_dilate_path(path, dilation) for path in _paths(block, maps[-1].stride))


def _paths(block: nn.Module, own_stride: int) -> tuple[Iterable[nn.Module], ...]:
    """Return the ways through a block: branch and shortcut, or the block itself, a single unit."""
    if isinstance(block, ConvNormAct):
        return ((block,),)
    undilatable = (BranchedConv, ConvAct, AttentiveGhostModule)
    if any(isinstance(part, undilatable) for part in block.modules()) or not is_residual(block):
        raise ConfigError(
            f"blocks of the kind {type(block).__name__} cannot be dilated; leave output_stride at"
            f" {own_stride}."
        )
    return block.branch, () if block.shortcut is None else (block.shortcut,)


def _dilate_path(layers: Iterable[nn.Module], dilation: int) -> int:
    """Dilate the convolutions of one way through a block; return the dilation behind them."""
    for layer in layers:
        for unit in layer.modules():
            if isinstance(unit, ConvNormAct):
                stride = unit.conv.stride[0]
                _set_dilation(unit, dilation)
                dilation *= stride
    return dilation


def _set_dilation(unit: ConvNormAct, dilation: int) -> None:
    conv = unit.conv
    if any(size % 2 == 0 for size in conv.kernel_size):
        raise ConfigError(f"output_stride needs odd kernels, and this model has one of {conv.kernel_size}.")
    conv.stride = (1, 1)
    conv.dilation = (dilation, dilation) if max(conv.kernel_size) > 1 else (1, 1)
    conv.padding = tuple(dilation * (size // 2) for size in conv.kernel_size)
    unit.pads_same = False  # at stride 1 with an odd kernel SAME padding is symmetric
