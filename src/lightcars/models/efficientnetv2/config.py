"""EfficientNetV2's architecture as data: the tables of stages; s, m, l, b0 to b3. No torch.

Source: arXiv 2104.00298, table 4 (S), and the authors' code (`automl/efficientnetv2/effnetv2_configs.py`) for
M, L and the base models b0 to b3, which scale one table as EfficientNet does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from lightcars.models.config import Variant
from lightcars.models.mbconv_stages import CHANNEL_DIVISOR, MBConvBlock, MBConvStage, scaled_blocks
from lightcars.models.scaling import nearest_channels, round_repeats
from lightcars.models.validation import (
    require_common,
    require_flag,
    require_int,
    require_one_of,
    require_positive,
    require_rows,
)

BASE_OUT_CHANNELS = 1280
SQUEEZE_REDUCTION = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(MBConvStage):
    """A row of the table. A fused stage has full convolutions and no squeeze-and-excitation."""

    fused: bool
    kernel_size: int = 3

    def __post_init__(self) -> None:
        MBConvStage.__post_init__(self)
        require_flag("fused", self.fused)


def _stages(*rows: tuple[bool, int, int, int, int]) -> tuple[Stage, ...]:
    return tuple(
        Stage(fused=fused, expand_ratio=expand_ratio, stride=stride, channels=channels, repeats=repeats)
        for fused, expand_ratio, stride, channels, repeats in rows
    )


#   fused  expand stride channels repeats
BASE_STAGES = _stages(
    (True, 1, 1, 16, 1),
    (True, 4, 2, 32, 2),
    (True, 4, 2, 48, 2),
    (False, 4, 2, 96, 3),
    (False, 6, 1, 112, 5),
    (False, 6, 2, 192, 8),
)
SMALL_STAGES = _stages(
    (True, 1, 1, 24, 2),
    (True, 4, 2, 48, 4),
    (True, 4, 2, 64, 4),
    (False, 4, 2, 128, 6),
    (False, 6, 1, 160, 9),
    (False, 6, 2, 256, 15),
)
MEDIUM_STAGES = _stages(
    (True, 1, 1, 24, 3),
    (True, 4, 2, 48, 5),
    (True, 4, 2, 80, 5),
    (False, 4, 2, 160, 7),
    (False, 6, 1, 176, 14),
    (False, 6, 2, 304, 18),
    (False, 6, 1, 512, 5),
)
LARGE_STAGES = _stages(
    (True, 1, 1, 32, 4),
    (True, 4, 2, 64, 7),
    (True, 4, 2, 96, 7),
    (False, 4, 2, 192, 10),
    (False, 6, 1, 224, 19),
    (False, 6, 2, 384, 25),
    (False, 6, 1, 640, 7),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientNetV2Config:
    """Everything that determines an EfficientNetV2.

    Attributes:
        width: multiplier of channels.
        depth: multiplier of the number of blocks per stage.
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        out_channels: number of channels before the classifier; None means 1280 scaled by `width`.
        dropout: dropout probability before the classifier.
        drop_path: stochastic depth rate of the last block; it grows linearly from 0 at the first block.
        padding: "symmetric", as in torchvision's and timm's models, or "same", as in TensorFlow's weights.
        batch_norm_eps: 1e-5 as in PyTorch; TensorFlow's and torchvision's weights need 1e-3.
        batch_norm_momentum: 0.1 as in PyTorch; TensorFlow's weights need 0.01 (there called 0.99).
        stem: channels after the first convolution, unscaled.
        stages: rows of the architecture table.
    """

    width: float = 1.0
    depth: float = 1.0
    resolution: int = 224
    num_classes: int = 1000
    img_channels: int = 3
    out_channels: int | None = None
    dropout: float = 0.2
    drop_path: float = 0.2
    padding: Literal["symmetric", "same"] = "symmetric"
    batch_norm_eps: float = 1e-5
    batch_norm_momentum: float = 0.1
    stem: int = 32
    stages: tuple[Stage, ...] = BASE_STAGES

    def __post_init__(self) -> None:
        require_common(self)
        require_positive("depth", self.depth, at_most=20)
        require_one_of("padding", self.padding, ("symmetric", "same"))
        require_positive("batch_norm_eps", self.batch_norm_eps)
        require_positive("batch_norm_momentum", self.batch_norm_momentum, at_most=1)
        require_int("stem", self.stem, at_least=1)
        require_rows("stages", self.stages, Stage)

    def _scaled(self, channels: int) -> int:
        return nearest_channels(channels * self.width, CHANNEL_DIVISOR)

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution."""
        return self._scaled(self.stem)

    @property
    def feature_channels(self) -> int:
        """Channels of the last map."""
        return self.head_channels

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""
        return self._scaled(BASE_OUT_CHANNELS) if self.out_channels is None else self.out_channels

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

    @property
    def stage_repeats(self) -> tuple[int, ...]:
        """Blocks of every stage, scaled by depth."""
        return tuple(round_repeats(stage.repeats, self.depth) for stage in self.stages)

    def blocks(self) -> tuple[MBConvBlock, ...]:
        """Return all blocks in order, scaled by width and depth, with their stochastic depth."""
        return scaled_blocks(
            self.stages,
            in_channels=self.stem_channels,
            width=self.width,
            drop_path=self.drop_path,
            repeats=self.stage_repeats,
            rounded=nearest_channels,
        )


def _base(width: float, depth: float, resolution: int, dropout: float) -> EfficientNetV2Config:
    return EfficientNetV2Config(width=width, depth=depth, resolution=resolution, dropout=dropout)


def _large(stages: tuple[Stage, ...], stem: int, resolution: int, dropout: float) -> EfficientNetV2Config:
    return EfficientNetV2Config(stages=stages, stem=stem, resolution=resolution, dropout=dropout)


VARIANTS: Mapping[str, Variant[EfficientNetV2Config]] = MappingProxyType(
    {
        "b0": Variant(_base(1.0, 1.0, 224, 0.2), 7_139_704, 718_086_176),
        "b1": Variant(_base(1.0, 1.1, 240, 0.2), 8_141_052, 1_196_819_360),
        "b2": Variant(_base(1.1, 1.2, 260, 0.3), 10_096_086, 1_697_542_832),
        "b3": Variant(_base(1.2, 1.4, 300, 0.3), 14_358_406, 3_011_458_816),
        "s": Variant(_large(SMALL_STAGES, 24, 384, 0.2), 21_458_488, 8_365_617_152),
        "m": Variant(_large(MEDIUM_STAGES, 24, 480, 0.3), 54_139_356, 24_582_460_384),
        "l": Variant(_large(LARGE_STAGES, 32, 480, 0.4), 118_515_272, 56_079_699_008),
    }
)
