"""Which blocks give the multi-scale maps, derived from strides. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STEM_STRIDE = 2


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


def feature_maps(channels: Sequence[int], strides: Sequence[int]) -> tuple[FeatureMap, ...]:
    """The last block at each stride, given the output channels and the stride of every block."""
    maps = []
    stride = STEM_STRIDE
    for block, block_stride in enumerate(strides):
        stride *= block_stride
        if block + 1 == len(strides) or strides[block + 1] > 1:
            maps.append(FeatureMap(channels[block], stride, block))
    return tuple(maps)
