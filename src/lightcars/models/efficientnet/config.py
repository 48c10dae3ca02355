"""EfficientNet's architecture as data: the table of stages; b0 to b7, lite0 to lite4. No torch.

Source: arXiv 1905.11946, table 1 (stages; strides as in the authors' TensorFlow code, which applies them
at the first block of a stage) and the coefficients of that code (`efficientnet_builder.py`, and for Lite
`lite/efficientnet_lite_builder.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from lightcars.models.config import CommonChanges, Variant
from lightcars.models.mbconv_stages import CHANNEL_DIVISOR, MBConvBlock, MBConvStage, scaled_blocks
from lightcars.models.scaling import round_channels, round_repeats
from lightcars.models.validation import (
    require_common,
    require_flag,
    require_int,
    require_one_of,
    require_positive,
    require_rows,
)

BASE_STAGES = (
    MBConvStage(expand_ratio=1, kernel_size=3, stride=1, channels=16, repeats=1),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=2, channels=24, repeats=2),
    MBConvStage(expand_ratio=6, kernel_size=5, stride=2, channels=40, repeats=2),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=2, channels=80, repeats=3),
    MBConvStage(expand_ratio=6, kernel_size=5, stride=1, channels=112, repeats=3),
    MBConvStage(expand_ratio=6, kernel_size=5, stride=2, channels=192, repeats=4),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=1, channels=320, repeats=1),
)
BASE_STEM_CHANNELS = 32
BASE_OUT_CHANNELS = 1280

Activation = Literal["silu", "relu6"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientNetConfig:
    """Everything that determines an EfficientNet.

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
        batch_norm_eps: 1e-5 as in PyTorch; TensorFlow's weights need 1e-3.
        batch_norm_momentum: 0.1 as in PyTorch; TensorFlow's weights need 0.01 (there called 0.99).
        activation: "silu", or EfficientNet-Lite's "relu6".
        squeeze_reduction: channels before a block per hidden channel of its squeeze-and-excitation; 0 leaves
            squeeze-and-excitation out, as EfficientNet-Lite does.
        fixed_ends: whether the channels of stem and head, and the blocks of the first and last stage, stay
            unscaled, as in EfficientNet-Lite.
        stages: rows of the architecture table, B0's by default.
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
    activation: Activation = "silu"
    squeeze_reduction: int = 4
    fixed_ends: bool = False
    stages: tuple[MBConvStage, ...] = BASE_STAGES

    def __post_init__(self) -> None:
        require_common(self)
        require_positive("depth", self.depth, at_most=20)
        require_one_of("padding", self.padding, ("symmetric", "same"))
        require_positive("batch_norm_eps", self.batch_norm_eps)
        require_positive("batch_norm_momentum", self.batch_norm_momentum, at_most=1)
        require_one_of("activation", self.activation, ("silu", "relu6"))
        require_int("squeeze_reduction", self.squeeze_reduction, at_least=0)
        require_flag("fixed_ends", self.fixed_ends)
        require_rows("stages", self.stages, MBConvStage)

    @property
    def _end_width(self) -> float:
        return 1.0 if self.fixed_ends else self.width

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution."""
        return round_channels(BASE_STEM_CHANNELS * self._end_width, CHANNEL_DIVISOR)

    @property
    def feature_channels(self) -> int:
        """Channels of the last map."""
        return self.head_channels

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""
        scaled = round_channels(BASE_OUT_CHANNELS * self._end_width, CHANNEL_DIVISOR)
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

    @property
    def stage_repeats(self) -> tuple[int, ...]:
        """Blocks of every stage, scaled by depth."""
        fixed = {0, len(self.stages) - 1} if self.fixed_ends else set()
        return tuple(
            stage.repeats if position in fixed else round_repeats(stage.repeats, self.depth)
            for position, stage in enumerate(self.stages)
        )

    def blocks(self) -> tuple[MBConvBlock, ...]:
        """All blocks in order, scaled by width and depth, with their stochastic depth."""
        return scaled_blocks(
            self.stages,
            in_channels=self.stem_channels,
            width=self.width,
            drop_path=self.drop_path,
            repeats=self.stage_repeats,
        )


class EfficientNetChanges(CommonChanges, total=False):
    """Fields of `EfficientNetConfig` as keyword arguments."""

    depth: float
    padding: Literal["symmetric", "same"]
    batch_norm_eps: float
    batch_norm_momentum: float
    activation: Activation
    squeeze_reduction: int
    fixed_ends: bool
    stages: tuple[MBConvStage, ...]


def _lite(width: float, depth: float, resolution: int, dropout: float) -> EfficientNetConfig:
    """Return EfficientNet-Lite in TensorFlow's form, in which its authors published it."""
    return EfficientNetConfig(
        width=width,
        depth=depth,
        resolution=resolution,
        dropout=dropout,
        padding="same",
        batch_norm_eps=1e-3,
        batch_norm_momentum=0.01,
        activation="relu6",
        squeeze_reduction=0,
        fixed_ends=True,
    )


VARIANTS: Mapping[str, Variant[EfficientNetConfig]] = MappingProxyType(
    {
        "b0": Variant(
            EfficientNetConfig(width=1.0, depth=1.0, resolution=224, dropout=0.2), 5_288_548, 385_814_752
        ),
        "b1": Variant(
            EfficientNetConfig(width=1.0, depth=1.1, resolution=240, dropout=0.2), 7_794_184, 686_802_832
        ),
        "b2": Variant(
            EfficientNetConfig(width=1.1, depth=1.2, resolution=260, dropout=0.3), 9_109_994, 993_561_872
        ),
        "b3": Variant(
            EfficientNetConfig(width=1.2, depth=1.4, resolution=300, dropout=0.3), 12_233_232, 1_827_141_392
        ),
        "b4": Variant(
            EfficientNetConfig(width=1.4, depth=1.8, resolution=380, dropout=0.4), 19_341_616, 4_393_771_024
        ),
        "b5": Variant(
            EfficientNetConfig(width=1.6, depth=2.2, resolution=456, dropout=0.4), 30_389_784, 10_266_384_752
        ),
        "b6": Variant(
            EfficientNetConfig(width=1.8, depth=2.6, resolution=528, dropout=0.5), 43_040_704, 19_067_593_536
        ),
        "b7": Variant(
            EfficientNetConfig(width=2.0, depth=3.1, resolution=600, dropout=0.5), 66_347_960, 37_745_884_192
        ),
        "b8": Variant(
            EfficientNetConfig(width=2.2, depth=3.6, resolution=672, dropout=0.5), 87_413_142, 62_597_461_568
        ),
        "l2": Variant(
            EfficientNetConfig(width=4.3, depth=5.3, resolution=800, dropout=0.5),
            480_309_308,
            475_703_653_280,
        ),
        "lite0": Variant(_lite(1.0, 1.0, 224, 0.2), 4_652_008, 385_187_552),
        "lite1": Variant(_lite(1.0, 1.1, 240, 0.2), 5_416_680, 600_185_232),
        "lite2": Variant(_lite(1.1, 1.2, 260, 0.3), 6_092_072, 859_736_272),
        "lite3": Variant(_lite(1.2, 1.4, 280, 0.3), 8_197_096, 1_383_321_872),
        "lite4": Variant(_lite(1.4, 1.8, 300, 0.3), 13_006_568, 2_553_034_336),
    }
)
