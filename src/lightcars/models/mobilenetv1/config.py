"""MobileNetV1's architecture as data: the table of depthwise separable convolutions. No torch.

Source: arXiv 1704.04861, table 1. Its last depthwise convolution is said to have stride 2, but keeps the
size of the map: 1 is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from lightcars.models.config import Variant
from lightcars.models.scaling import round_channels
from lightcars.models.validation import require_common, require_int, require_rows

CHANNEL_DIVISOR = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV1Block:
    """One depthwise separable convolution. In `BASE_BLOCKS` the channels are those of width 1."""

    channels: int
    stride: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            require_int(field.name, getattr(self, field.name), at_least=1)


BASE_BLOCKS = (
    MobileNetV1Block(channels=64),
    MobileNetV1Block(channels=128, stride=2),
    MobileNetV1Block(channels=128),
    MobileNetV1Block(channels=256, stride=2),
    MobileNetV1Block(channels=256),
    MobileNetV1Block(channels=512, stride=2),
    *(MobileNetV1Block(channels=512) for _ in range(5)),
    MobileNetV1Block(channels=1024, stride=2),
    MobileNetV1Block(channels=1024),
)
BASE_STEM_CHANNELS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV1Config:
    """Everything that determines a MobileNetV1. It has no layer between the last block and the classifier.

    Attributes:
        width: multiplier of all channels.
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        dropout: dropout probability before the classifier.
        blocks: rows of the architecture table at width 1.
    """

    width: float = 1.0
    resolution: int = 224
    num_classes: int = 1000
    img_channels: int = 3
    dropout: float = 0.2
    blocks: tuple[MobileNetV1Block, ...] = BASE_BLOCKS

    def __post_init__(self) -> None:
        require_common(self)
        require_rows("blocks", self.blocks, MobileNetV1Block)

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution."""
        return round_channels(BASE_STEM_CHANNELS * self.width, CHANNEL_DIVISOR)

    @property
    def feature_channels(self) -> int:
        """Channels of the last map."""
        return self.block_channels[-1]

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""
        return self.block_channels[-1]

    @property
    def stem_stride(self) -> int:
        """Stride of the first convolution."""
        return 2

    @property
    def block_channels(self) -> tuple[int, ...]:
        """Output channels of every block."""
        return tuple(round_channels(block.channels * self.width, CHANNEL_DIVISOR) for block in self.blocks)

    @property
    def block_strides(self) -> tuple[int, ...]:
        """Stride of every block."""
        return tuple(block.stride for block in self.blocks)


VARIANTS: Mapping[str, Variant[MobileNetV1Config]] = MappingProxyType(
    {"100": Variant(MobileNetV1Config(), 4_231_976, 568_740_352)}
)
