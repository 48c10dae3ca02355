"""MNASNet-B1's architecture as data: the table of stages. No torch.

Source: the authors' code (tensorflow/tpu, `mnasnet_models.py`, `mnasnet_b1`). arXiv 1807.11626 shows A1, with
squeeze-and-excitation, in figure 7; torchvision's and timm's MNASNet 1.0 is B1.
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
    MBConvStage(expand_ratio=3, kernel_size=3, stride=2, channels=24, repeats=3),
    MBConvStage(expand_ratio=3, kernel_size=5, stride=2, channels=40, repeats=3),
    MBConvStage(expand_ratio=6, kernel_size=5, stride=2, channels=80, repeats=3),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=1, channels=96, repeats=2),
    MBConvStage(expand_ratio=6, kernel_size=5, stride=2, channels=192, repeats=4),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=1, channels=320, repeats=1),
)
BASE_STEM_CHANNELS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class MNASNetConfig:
    """Everything that determines an MNASNet.

    Attributes:
        width: multiplier of the channels of stem and blocks (not of `out_channels`).
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        out_channels: number of channels before the classifier.
        dropout: dropout probability before the classifier.
        drop_path: stochastic depth rate of the last block; it grows linearly from 0 at the first block.
        stages: rows of the architecture table at width 1.
    """

    width: float = 1.0
    resolution: int = 224
    num_classes: int = 1000
    img_channels: int = 3
    out_channels: int = 1280
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
        return self.out_channels

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


VARIANTS: Mapping[str, Variant[MNASNetConfig]] = MappingProxyType(
    {"100": Variant(MNASNetConfig(), 4_383_312, 314_415_872)}
)
