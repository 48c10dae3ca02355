"""The table of bottlenecks that GhostNet and its successors share, as data. No torch.

Source: arXiv 1911.11907, table 1 (its kernel sizes are those of the official code, the table has none).
"""

from __future__ import annotations

from dataclasses import dataclass

from lightcars.models.scaling import round_channels
from lightcars.models.validation import (
    require_common,
    require_int,
    require_rows,
)

CHANNEL_DIVISOR = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostBlock:
    """One bottleneck. In `BASE_BLOCKS` the channels are those of width 1, elsewhere they are scaled."""

    kernel_size: int
    hidden_channels: int
    channels: int
    squeeze: bool
    stride: int

    def __post_init__(self) -> None:
        for name in ("kernel_size", "hidden_channels", "channels", "stride"):
            require_int(name, getattr(self, name), at_least=1)


def _block(kernel_size: int, hidden: int, channels: int, squeeze: bool, stride: int) -> GhostBlock:
    return GhostBlock(
        kernel_size=kernel_size, hidden_channels=hidden, channels=channels, squeeze=squeeze, stride=stride
    )


#          kernel hidden channels squeeze stride
BASE_BLOCKS = (
    _block(3, 16, 16, False, 1),
    _block(3, 48, 24, False, 2),
    _block(3, 72, 24, False, 1),
    _block(5, 72, 40, True, 2),
    _block(5, 120, 40, True, 1),
    _block(3, 240, 80, False, 2),
    _block(3, 200, 80, False, 1),
    _block(3, 184, 80, False, 1),
    _block(3, 184, 80, False, 1),
    _block(3, 480, 112, True, 1),
    _block(3, 672, 112, True, 1),
    _block(5, 672, 160, True, 2),
    _block(5, 960, 160, False, 1),
    _block(5, 960, 160, True, 1),
    _block(5, 960, 160, False, 1),
    _block(5, 960, 160, True, 1),
)
BASE_STEM_CHANNELS = 16
SQUEEZE_REDUCTION = 4
ATTENTION_MIN_RESOLUTION = 97
"""From here on the last map, of stride 32, has four rows and columns, and half as many have two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostTableConfig:
    """Settings that GhostNet and its successors share: a table of bottlenecks at some width.

    Attributes:
        width: multiplier of the channels of stem and blocks (not of `out_channels`).
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        out_channels: number of channels before the classifier.
        dropout: dropout probability before the classifier.
        drop_path: stochastic depth rate of the last block; it grows linearly from 0 at the first block.
        blocks: rows of the architecture table at width 1.
    """

    width: float = 1.0
    resolution: int = 224
    num_classes: int = 1000
    img_channels: int = 3
    out_channels: int = 1280
    dropout: float = 0.2
    drop_path: float = 0.0
    blocks: tuple[GhostBlock, ...] = BASE_BLOCKS

    def __post_init__(self) -> None:
        require_common(self)
        require_rows("blocks", self.blocks, GhostBlock)

    def _scaled(self, channels: int) -> int:
        return round_channels(channels * self.width, CHANNEL_DIVISOR)

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution."""
        return self._scaled(BASE_STEM_CHANNELS)

    @property
    def feature_channels(self) -> int:
        """Channels of the last map, before pooling: as many as the last block has inside."""
        return self._scaled(self.blocks[-1].hidden_channels)

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""
        return self.out_channels

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

    def scaled_blocks(self) -> tuple[GhostBlock, ...]:
        """Return the table with the channels of this width."""
        return tuple(
            GhostBlock(
                kernel_size=block.kernel_size,
                hidden_channels=self._scaled(block.hidden_channels),
                channels=self._scaled(block.channels),
                squeeze=block.squeeze,
                stride=block.stride,
            )
            for block in self.blocks
        )

    @property
    def drop_paths(self) -> tuple[float, ...]:
        """Stochastic depth of every block."""
        total = len(self.blocks)
        return tuple(self.drop_path * position / total for position in range(total))

    def squeeze_channels(self, channels: int) -> int:
        """Hidden width of the squeeze over `channels` channels."""
        return round_channels(channels / SQUEEZE_REDUCTION, CHANNEL_DIVISOR)
