"""ShuffleNetV2's architecture as data: the table of stages, the channels of published widths. No torch.

Source: arXiv 1807.11164, table 5. Its widths are not multiples of each other: 1 has 116 channels in the first
stage, 0.5 has 48.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from types import MappingProxyType

from lightcars.models.config import Variant
from lightcars.models.validation import require_common, require_int, require_rows

STEM_CHANNELS = 24
PUBLISHED_CHANNELS = ((0.5, 48), (1.0, 116), (1.5, 176), (2.0, 244))
"""Width and channels of the first stage."""
WIDE = 2.0
"""Width from which on the last convolution is twice as wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleV2Stage:
    """`repeats` units, of which the first one has stride 2; `multiple` of the first stage's channels."""

    multiple: int
    repeats: int

    def __post_init__(self) -> None:
        for field in fields(self):
            require_int(field.name, getattr(self, field.name), at_least=1)


BASE_STAGES = (
    ShuffleV2Stage(multiple=1, repeats=4),
    ShuffleV2Stage(multiple=2, repeats=8),
    ShuffleV2Stage(multiple=4, repeats=4),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleNetV2Config:
    """Everything that determines a ShuffleNetV2.

    Attributes:
        width: the paper's 0.5, 1, 1.5 or 2; the channels of widths between these are interpolated, those of
            others proportional to the nearest one's.
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        out_channels: number of channels before the classifier; None means 1024, and 2048 from width 2 on.
        dropout: dropout probability before the classifier.
        stages: rows of the architecture table.
    """

    width: float = 1.0
    resolution: int = 224
    num_classes: int = 1000
    img_channels: int = 3
    out_channels: int | None = None
    dropout: float = 0.0
    stages: tuple[ShuffleV2Stage, ...] = BASE_STAGES

    def __post_init__(self) -> None:
        require_common(self)
        require_rows("stages", self.stages, ShuffleV2Stage)

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution; the same for all widths."""
        return STEM_CHANNELS

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of every stage."""
        first = max(2, round(_first_channels(self.width) / 2) * 2)
        return tuple(first * stage.multiple for stage in self.stages)

    @property
    def feature_channels(self) -> int:
        """Channels of the last map."""
        return self.head_channels

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""
        published = 2048 if self.width >= WIDE else 1024
        return published if self.out_channels is None else self.out_channels

    @property
    def stem_stride(self) -> int:
        """Stride of the first convolution."""
        return 2

    @property
    def block_channels(self) -> tuple[int, ...]:
        """Output channels of every block: the pooling and the units."""
        units = zip(self.stage_channels, self.stages, strict=True)
        return (self.stem_channels, *(c for channels, stage in units for c in (channels,) * stage.repeats))

    @property
    def block_strides(self) -> tuple[int, ...]:
        """Stride of every block."""
        return (2, *(2 if unit == 0 else 1 for stage in self.stages for unit in range(stage.repeats)))


def _first_channels(width: float) -> float:
    """Return the channels of the first stage, not rounded."""
    narrowest, widest = PUBLISHED_CHANNELS[0], PUBLISHED_CHANNELS[-1]
    for (low, fewer), (high, more) in pairwise(PUBLISHED_CHANNELS):
        if low <= width <= high:
            return fewer + (more - fewer) * (width - low) / (high - low)
    nearest_width, channels = narrowest if width < narrowest[0] else widest
    return channels * width / nearest_width


VARIANTS: Mapping[str, Variant[ShuffleNetV2Config]] = MappingProxyType(
    {
        "050": Variant(ShuffleNetV2Config(width=0.5), 1_366_792, 40_476_448),
        "100": Variant(ShuffleNetV2Config(width=1.0), 2_278_604, 144_907_992),
        "150": Variant(ShuffleNetV2Config(width=1.5), 3_503_624, 295_759_392),
        "200": Variant(ShuffleNetV2Config(width=2.0), 7_393_996, 583_253_464),
    }
)
