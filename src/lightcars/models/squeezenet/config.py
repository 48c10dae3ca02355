"""SqueezeNet's architecture as data: the tables of Fire modules of 1.0 and 1.1. No torch.

Source: arXiv 1602.07360, table 1, for 1.0 (the stem has 96 kernels of 7 x 7); 1.1 is the authors' own (their
Caffe release): a stem of 3 x 3 and earlier pooling, 2.35 times fewer multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from lightcars.errors import ConfigError
from lightcars.models.config import Variant
from lightcars.models.features import smallest_dynamic_side
from lightcars.models.scaling import round_channels
from lightcars.models.validation import require_common, require_int, require_rows

POOL_SIZE = 3
"""Side of the max pooling before a block of stride 2 or more."""
STEM_KERNEL_SIZES = (1, 3, 5, 7)
"""Sides of the first convolution's kernel: odd, up to that of SqueezeNet 1.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FireBlock:
    """Max pooling, if the stride is 2 or 3, and a Fire module; channels are those of width 1."""

    stride: int
    squeeze_channels: int
    channels: int

    def __post_init__(self) -> None:
        for field in fields(self):
            require_int(field.name, getattr(self, field.name), at_least=1)
        if self.stride > POOL_SIZE:
            raise ConfigError(
                f"stride must be at most {POOL_SIZE}, the side of the pooling, not {self.stride!r}."
            )


def _block(stride: int, squeeze_channels: int, channels: int) -> FireBlock:
    return FireBlock(stride=stride, squeeze_channels=squeeze_channels, channels=channels)


#          stride squeeze channels
BLOCKS_1_0 = (
    _block(2, 16, 128),
    _block(1, 16, 128),
    _block(1, 32, 256),
    _block(2, 32, 256),
    _block(1, 48, 384),
    _block(1, 48, 384),
    _block(1, 64, 512),
    _block(2, 64, 512),
)
BLOCKS_1_1 = (
    _block(2, 16, 128),
    _block(1, 16, 128),
    _block(2, 32, 256),
    _block(1, 32, 256),
    _block(2, 48, 384),
    _block(1, 48, 384),
    _block(1, 64, 512),
    _block(1, 64, 512),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezeNetConfig:
    """Everything that determines a SqueezeNet.

    Attributes:
        width: multiplier of all channels.
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        dropout: dropout probability on the last map, before the classifier.
        stem_channels: channels after the first convolution, at width 1.
        stem_kernel_size: kernel size of the first convolution, which is not padded: 1, 3, 5 or 7.
        blocks: rows of the architecture table at width 1.
    """

    width: float = 1.0
    resolution: int = 224
    num_classes: int = 1000
    img_channels: int = 3
    dropout: float = 0.5
    stem_channels: int = 96
    stem_kernel_size: int = 7
    blocks: tuple[FireBlock, ...] = BLOCKS_1_0

    def __post_init__(self) -> None:
        require_common(self)
        require_int("stem_channels", self.stem_channels, at_least=1)
        require_int("stem_kernel_size", self.stem_kernel_size, at_least=1)
        if self.stem_kernel_size not in STEM_KERNEL_SIZES:
            raise ConfigError(f"stem_kernel_size must be 1, 3, 5 or 7, not {self.stem_kernel_size!r}.")
        require_rows("blocks", self.blocks, FireBlock)

    def _scaled(self, channels: int) -> int:
        return round_channels(channels * self.width, 2)  # a Fire module makes two halves

    @property
    def scaled_stem_channels(self) -> int:
        """Channels after the first convolution."""
        return self._scaled(self.stem_channels)

    def scaled_blocks(self) -> tuple[FireBlock, ...]:
        """Return the table with the channels of this width."""
        return tuple(
            replace(
                block,
                squeeze_channels=self._scaled(block.squeeze_channels),
                channels=self._scaled(block.channels),
            )
            for block in self.blocks
        )

    @property
    def feature_channels(self) -> int:
        """Channels of the last map."""
        return self.block_channels[-1]

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""
        return self.feature_channels

    @property
    def stem_stride(self) -> int:
        """Stride of the first convolution."""
        return 2

    @property
    def block_channels(self) -> tuple[int, ...]:
        """Output channels of every block."""
        return tuple(self._scaled(block.channels) for block in self.blocks)

    @property
    def block_strides(self) -> tuple[int, ...]:
        """Stride of every block."""
        return tuple(block.stride for block in self.blocks)

    @property
    def min_dynamic_resolution(self) -> int:
        """Smallest height and width of a graph that is exported for any of them."""
        return smallest_dynamic_side(self, len(self.block_strides) - 1)

    def map_side(self, side: int, block: int) -> int:
        """Return the pixels of a side of a block's output, as `lightcars.models.features.OwnSizes` says.

        The stem is not padded, and the last window of a pooling may reach beyond the map.
        """
        side = (side - self.stem_kernel_size) // self.stem_stride + 1
        for stride in self.block_strides[: block + 1]:
            side = side if stride == 1 else -(-(side - POOL_SIZE) // stride) + 1
        return side


VARIANTS: Mapping[str, Variant[SqueezeNetConfig]] = MappingProxyType(
    {
        "1_0": Variant(SqueezeNetConfig(), 1_248_424, 818_924_576),
        "1_1": Variant(
            SqueezeNetConfig(stem_channels=64, stem_kernel_size=3, blocks=BLOCKS_1_1),
            1_235_496,
            349_151_936,
        ),
    }
)
