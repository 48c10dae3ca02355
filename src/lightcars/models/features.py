"""Multi-scale feature maps, derived from strides. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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
