"""MobileNetV2's architecture as data: the table of stages. No torch.

Source: arXiv 1801.04381, table 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lightcars.models.config import Variant
from lightcars.models.mbconv_stages import CHANNEL_DIVISOR, MBConvBlock, MBConvStage, scaled_blocks
from lightcars.models.scaling import round_channels
from lightcars.models.validation import require_common, require_rows

BASE_STAGES = (
    MBConvStage(expand_ratio=1, kernel_size=3, stride=1, channels=16, repeats=1),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=2, channels=24, repeats=2),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=2, channels=32, repeats=3),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=2, channels=64, repeats=4),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=1, channels=96, repeats=3),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=2, channels=160, repeats=3),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=1, channels=320, repeats=1),
)
BASE_STEM_CHANNELS = 32
BASE_OUT_CHANNELS = 1280


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV2Config:
    """Everything that determines a MobileNetV2.

    Attributes:
        width: multiplier of the channels of stem and blocks.
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        out_channels: number of channels before the classifier; None means 1280, scaled only by a `width`
            above 1.
        dropout: dropout probability before the classifier.
        drop_path: stochastic depth rate of the last block; it grows linearly from 0 at the first block.
        stages: rows of the architecture table at width 1.
    """

    width: float = 1.0
    resolution: int = 224
    num_classes: int = 1000
    img_channels: int = 3
    out_channels: int | None = None
    dropout: float = 0.2
    drop_path: float = 0.0
    stages: tuple[MBConvStage, ...] = BASE_STAGES

    def __post_init__(self) -> None:
        require_common(self)
        require_rows("stages", self.stages, MBConvStage)

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution."""
        return round_channels(BASE_STEM_CHANNELS * self.width, CHANNEL_DIVISOR)

    @property
    def feature_channels(self) -> int:
        """Channels of the last map."""
        return self.head_channels

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""
        scaled = round_channels(BASE_OUT_CHANNELS * max(1.0, self.width), CHANNEL_DIVISOR)
        return scaled if self.out_channels is None else self.out_channels

    @property
    def stem_stride(self) -> int:
        """Stride of the first convolution."""
        return 2

    @property
    def block_channels(self) -> tuple[int, ...]:
        """Output channels of every block."""
        return tuple(block.out_channels for block in self.blocks())

    @property
    def block_strides(self) -> tuple[int, ...]:
        """Stride of every block."""
        return tuple(block.stride for block in self.blocks())

    def blocks(self) -> tuple[MBConvBlock, ...]:
        """Return all blocks in order, scaled by width, with their stochastic depth."""
        return scaled_blocks(
            self.stages, in_channels=self.stem_channels, width=self.width, drop_path=self.drop_path
        )


VARIANTS: Mapping[str, Variant[MobileNetV2Config]] = MappingProxyType(
    {"100": Variant(MobileNetV2Config(), 3_504_872, 300_774_272)}
)
