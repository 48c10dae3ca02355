"""Multi-scale feature maps, derived from strides. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Protocol, runtime_checkable

from lightcars.models.config import ModelConfig
from lightcars.models.validation import MIN_RESOLUTION


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """One map that `features()` returns.

    Attributes:
        channels: of the map.
        stride: pixels of the input per pixel of the map.
        block: position of the block whose output it is.
    """

    channels: int
    stride: int
    block: int


def feature_maps(
    channels: Sequence[int], strides: Sequence[int], *, stem_stride: int
) -> tuple[FeatureMap, ...]:
    """Return the last block at each stride, given output channels and stride of every block."""
    maps = []
    stride = stem_stride
    for block, block_stride in enumerate(strides):
        stride *= block_stride
        if block + 1 == len(strides) or strides[block + 1] > 1:
            maps.append(FeatureMap(channels[block], stride, block))
    return tuple(maps)


@runtime_checkable
class OwnSizes(Protocol):
    """Config of a family whose maps are not ceil(side / stride) wide: some layer has other padding."""

    def map_side(self, side: int, block: int) -> int:
        """Return the pixels of a side of a block's output, given those of the image."""


def map_side(config: ModelConfig, side: int, feature: FeatureMap) -> int:
    """Return the pixels of a side of a map of a model with this config, given those of the image."""
    if isinstance(config, OwnSizes):
        return config.map_side(side, feature.block)
    return math.ceil(side / feature.stride)


def smallest_dynamic_side(config: OwnSizes, block: int) -> int:
    """Return the smallest side above `MIN_RESOLUTION` for which a block's map is more than one pixel wide.

    Graphs for any size of image begin there: torch.export takes sizes of 1 as constants.
    """
    return next(side for side in count(MIN_RESOLUTION + 1) if config.map_side(side, block) > 1)
