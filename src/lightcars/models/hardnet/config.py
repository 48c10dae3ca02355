"""HarDNet's architecture as data: the tables of stages of 39DS, 68DS, 68 and 85. No torch.

Source: arXiv 1909.00948, table 1 and section 3; the growth rates and multipliers are those of the authors'
code (`hardnet.py`), which the table rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from lightcars.models.config import Variant
from lightcars.models.features import smallest_dynamic_side
from lightcars.models.validation import (
    require_common,
    require_flag,
    require_int,
    require_positive,
    require_rows,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HarDStage:
    """Downsampling, if the stride is 2, a dense block of `layers`, and a 1x1 convolution to `channels`.

    `growth` is the number of channels of a layer that takes one earlier layer. Values are those of width 1.
    """

    stride: int
    growth: int
    layers: int
    channels: int

    def __post_init__(self) -> None:
        for field in fields(self):
            require_int(field.name, getattr(self, field.name), at_least=1)


def _stages(*rows: tuple[int, int, int, int]) -> tuple[HarDStage, ...]:
    return tuple(
        HarDStage(stride=stride, growth=growth, layers=layers, channels=channels)
        for stride, growth, layers, channels in rows
    )


#                    stride growth layers channels
STAGES_39 = _stages((1, 16, 4, 96), (2, 20, 16, 320), (2, 64, 8, 640), (2, 160, 4, 1024))
STAGES_68 = _stages((1, 14, 8, 128), (2, 16, 16, 256), (1, 20, 16, 320), (2, 40, 16, 640), (2, 160, 4, 1024))
STAGES_85 = _stages(
    (1, 24, 8, 192),
    (2, 24, 16, 256),
    (1, 28, 16, 320),
    (2, 36, 16, 480),
    (1, 48, 16, 720),
    (2, 256, 4, 1280),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HarDNetConfig:
    """Everything that determines a HarDNet.

    Attributes:
        width: multiplier of all channels and growth rates.
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        out_channels: number of channels before the classifier; None means those of the last stage, scaled by
            `width`.
        dropout: dropout probability before the classifier.
        depthwise: builds the "DS" form: layers of 1x1 and depthwise convolutions, downsampled by strided
            depthwise convolutions; else 3x3 convolutions and max pooling, which rounds down.
        growth_multiplier: factor of a layer's channels for each further layer that it takes as input.
        stem_channels: channels after the first convolution, at width 1; the second one doubles them.
        stages: rows of the architecture table at width 1.
    """

    width: float = 1.0
    resolution: int = 224
    num_classes: int = 1000
    img_channels: int = 3
    out_channels: int | None = None
    dropout: float = 0.1
    depthwise: bool = False
    growth_multiplier: float = 1.7
    stem_channels: int = 32
    stages: tuple[HarDStage, ...] = STAGES_68

    def __post_init__(self) -> None:
        require_common(self)
        require_flag("depthwise", self.depthwise)
        require_positive("growth_multiplier", self.growth_multiplier, at_most=4)
        require_int("stem_channels", self.stem_channels, at_least=1)
        require_rows("stages", self.stages, HarDStage)

    @property
    def scaled_stem_channels(self) -> int:
        """Channels after the first convolution."""
        return _even(self.stem_channels * self.width)

    def stage_inputs(self) -> tuple[int, ...]:
        """Return the channels before every stage."""
        return (2 * self.scaled_stem_channels, *(self.stage_outputs()[:-1]))

    def stage_outputs(self) -> tuple[int, ...]:
        """Return the channels after the 1x1 convolution of every stage; the last one is the model's head."""
        scaled = [_even(stage.channels * self.width) for stage in self.stages[:-1]]
        return (*scaled, self.head_channels)

    def dense_channels(self, position: int) -> tuple[int, ...]:
        """Return the channels of the input and of every layer of a stage's dense block."""
        stage = self.stages[position]
        channels = [self.stage_inputs()[position]]
        for link in harmonic_links(stage.layers):
            growth = stage.growth * self.width
            for _ in link[1:]:
                growth *= self.growth_multiplier
            channels.append(_even(growth))
        return tuple(channels)

    @property
    def feature_channels(self) -> int:
        """Channels of the last map."""
        return self.head_channels

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""
        return (
            _even(self.stages[-1].channels * self.width) if self.out_channels is None else self.out_channels
        )

    @property
    def stem_stride(self) -> int:
        """Stride of the first convolution."""
        return 2

    @property
    def block_channels(self) -> tuple[int, ...]:
        """Output channels of every block: second convolution, then the stages, the last without its 1x1."""
        last = self.dense_channels(len(self.stages) - 1)[1:]
        dense = sum(channels for layer, channels in enumerate(last, 1) if layer % 2 or layer == len(last))
        return (2 * self.scaled_stem_channels, *self.stage_outputs()[:-1], dense)

    @property
    def block_strides(self) -> tuple[int, ...]:
        """Stride of every block."""
        return (2, *(stage.stride for stage in self.stages))

    @property
    def min_dynamic_resolution(self) -> int:
        """Smallest height and width of a graph that is exported for any of them."""
        return smallest_dynamic_side(self, len(self.block_strides) - 1)

    def map_side(self, side: int, block: int) -> int:
        """Return the pixels of a side of a block's output, as `lightcars.models.features.OwnSizes` says."""
        side = -(-side // (self.stem_stride * self.block_strides[0]))
        for stride in self.block_strides[1 : block + 1]:
            side = -(-side // stride) if self.depthwise else side // stride
        return side


def harmonic_links(layers: int) -> tuple[tuple[int, ...], ...]:
    """Return for layers 1 to `layers` of a dense block the earlier ones that each takes; 0 is the input.

    Layer k takes layer k - 2^n for every n for which 2^n divides k.

    >>> harmonic_links(4)
    ((0,), (1, 0), (2,), (3, 2, 0))
    """
    powers = [2**n for n in range(layers.bit_length())]
    return tuple(tuple(k - power for power in powers if k % power == 0) for k in range(1, layers + 1))


def _even(channels: float) -> int:
    """Return the even number nearest to `channels`, as in the authors' code: odd integers are rounded up."""
    return max(2, int(channels + 1) // 2 * 2)


VARIANTS: Mapping[str, Variant[HarDNetConfig]] = MappingProxyType(
    {
        "39ds": Variant(
            HarDNetConfig(
                dropout=0.05, depthwise=True, growth_multiplier=1.6, stem_channels=24, stages=STAGES_39
            ),
            3_488_228,
            429_471_474,
        ),
        "68ds": Variant(HarDNetConfig(dropout=0.05, depthwise=True), 4_180_602, 775_281_526),
        "68": Variant(HarDNetConfig(), 17_565_348, 4_246_114_304),
        "85": Variant(
            HarDNetConfig(dropout=0.2, stem_channels=48, stages=STAGES_85), 36_670_212, 9_074_081_584
        ),
    }
)
