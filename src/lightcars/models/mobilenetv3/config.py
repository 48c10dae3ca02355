"""MobileNetV3's architecture as data: the tables of blocks of its two sizes. No torch.

Source: arXiv 1905.02244, tables 1 (large) and 2 (small).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from lightcars.models.config import Variant
from lightcars.models.scaling import round_channels
from lightcars.models.validation import (
    require_common,
    require_flag,
    require_int,
    require_one_of,
    require_positive,
    require_rows,
)

CHANNEL_DIVISOR = 8
SQUEEZE_REDUCTION = 4
HEAD_RATIO = 6
"""Channels of the last map per channel of the last block."""

Activation = Literal["relu", "hardswish"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV3Block:
    """One MBConv block. In the tables the channels are those of width 1, elsewhere they are scaled."""

    kernel_size: int
    hidden_channels: int
    channels: int
    squeeze: bool
    activation: Activation
    stride: int

    def __post_init__(self) -> None:
        for name in ("kernel_size", "hidden_channels", "channels", "stride"):
            require_int(name, getattr(self, name), at_least=1)
        require_flag("squeeze", self.squeeze)
        require_one_of("activation", self.activation, ("relu", "hardswish"))


def _block(
    kernel_size: int, hidden: int, channels: int, squeeze: bool, activation: Activation, stride: int
) -> MobileNetV3Block:
    return MobileNetV3Block(
        kernel_size=kernel_size,
        hidden_channels=hidden,
        channels=channels,
        squeeze=squeeze,
        activation=activation,
        stride=stride,
    )


#          kernel hidden channels squeeze activation stride
LARGE_BLOCKS = (
    _block(3, 16, 16, False, "relu", 1),
    _block(3, 64, 24, False, "relu", 2),
    _block(3, 72, 24, False, "relu", 1),
    _block(5, 72, 40, True, "relu", 2),
    _block(5, 120, 40, True, "relu", 1),
    _block(5, 120, 40, True, "relu", 1),
    _block(3, 240, 80, False, "hardswish", 2),
    _block(3, 200, 80, False, "hardswish", 1),
    _block(3, 184, 80, False, "hardswish", 1),
    _block(3, 184, 80, False, "hardswish", 1),
    _block(3, 480, 112, True, "hardswish", 1),
    _block(3, 672, 112, True, "hardswish", 1),
    _block(5, 672, 160, True, "hardswish", 2),
    _block(5, 960, 160, True, "hardswish", 1),
    _block(5, 960, 160, True, "hardswish", 1),
)
SMALL_BLOCKS = (
    _block(3, 16, 16, True, "relu", 2),
    _block(3, 72, 24, False, "relu", 2),
    _block(3, 88, 24, False, "relu", 1),
    _block(5, 96, 40, True, "hardswish", 2),
    _block(5, 240, 40, True, "hardswish", 1),
    _block(5, 240, 40, True, "hardswish", 1),
    _block(5, 120, 48, True, "hardswish", 1),
    _block(5, 144, 48, True, "hardswish", 1),
    _block(5, 288, 96, True, "hardswish", 2),
    _block(5, 576, 96, True, "hardswish", 1),
    _block(5, 576, 96, True, "hardswish", 1),
)
BASE_STEM_CHANNELS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV3Config:
    """Everything that determines a MobileNetV3.

    Attributes:
        width: multiplier of the channels of stem, blocks and last map (not of `out_channels`).
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        out_channels: number of channels before the classifier.
        dropout: dropout probability before the classifier.
        drop_path: stochastic depth rate of the last block; it grows linearly from 0 at the first block.
        padding: "symmetric", as in torchvision's and timm's models, or "same", as in TensorFlow's weights.
        batch_norm_eps: 1e-5 as in PyTorch and timm; TensorFlow's and torchvision's weights need 1e-3.
        batch_norm_momentum: 0.1 as in PyTorch and timm; TensorFlow's and torchvision's weights need 0.01.
        blocks: rows of the architecture table at width 1, those of the large size by default.
    """

    width: float = 1.0
    resolution: int = 224
    num_classes: int = 1000
    img_channels: int = 3
    out_channels: int = 1280
    dropout: float = 0.2
    drop_path: float = 0.0
    padding: Literal["symmetric", "same"] = "symmetric"
    batch_norm_eps: float = 1e-5
    batch_norm_momentum: float = 0.1
    blocks: tuple[MobileNetV3Block, ...] = LARGE_BLOCKS

    def __post_init__(self) -> None:
        require_common(self)
        require_one_of("padding", self.padding, ("symmetric", "same"))
        require_positive("batch_norm_eps", self.batch_norm_eps)
        require_positive("batch_norm_momentum", self.batch_norm_momentum, at_most=1)
        require_rows("blocks", self.blocks, MobileNetV3Block)

    def _scaled(self, channels: int) -> int:
        return round_channels(channels * self.width, CHANNEL_DIVISOR)

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution."""
        return self._scaled(BASE_STEM_CHANNELS)

    @property
    def feature_channels(self) -> int:
        """Channels of the last map, before pooling."""
        return HEAD_RATIO * self.block_channels[-1]

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
    def block_inputs(self) -> tuple[int, ...]:
        """Input channels of every block."""
        return (self.stem_channels, *self.block_channels[:-1])

    @property
    def block_strides(self) -> tuple[int, ...]:
        """Stride of every block."""
        return tuple(block.stride for block in self.blocks)

    def scaled_blocks(self) -> tuple[MobileNetV3Block, ...]:
        """Return the table with the channels of this width."""
        return tuple(
            replace(
                block,
                hidden_channels=self._scaled(block.hidden_channels),
                channels=self._scaled(block.channels),
            )
            for block in self.blocks
        )

    @property
    def drop_paths(self) -> tuple[float, ...]:
        """Stochastic depth of every block."""
        total = len(self.blocks)
        return tuple(self.drop_path * position / total for position in range(total))


VARIANTS: Mapping[str, Variant[MobileNetV3Config]] = MappingProxyType(
    {
        "small_100": Variant(
            MobileNetV3Config(blocks=SMALL_BLOCKS, out_channels=1024), 2_542_856, 56_510_400
        ),
        "large_100": Variant(MobileNetV3Config(), 5_483_032, 216_589_760),
    }
)
