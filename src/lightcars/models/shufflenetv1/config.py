"""ShuffleNet's architecture as data: the table of stages for each number of groups. No torch.

Source: arXiv 1707.01083, table 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from lightcars.errors import ConfigError
from lightcars.models.config import Variant
from lightcars.models.scaling import round_channels
from lightcars.models.validation import require_common, require_int, require_rows

STEM_CHANNELS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleStage:
    """`repeats` units, of which the first one has stride 2; `multiple` of the first stage's channels."""

    multiple: int
    repeats: int

    def __post_init__(self) -> None:
        for name in ("multiple", "repeats"):
            require_int(name, getattr(self, name), at_least=1)


BASE_STAGES = (
    ShuffleStage(multiple=1, repeats=4),
    ShuffleStage(multiple=2, repeats=8),
    ShuffleStage(multiple=4, repeats=4),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleNetV1Config:
    """Everything that determines a ShuffleNet.

    Attributes:
        width: multiplier of the channels of the stages, the paper's scale factor.
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        dropout: dropout probability before the classifier.
        drop_path: stochastic depth of the last unit; it grows linearly from 0 at the first. Units of stride
            2, which concatenate, have none.
        groups: groups of the 1x1 convolutions; the first one of the first stage has one, as in the paper.
        channels: channels of the first stage at width 1, rounded to a multiple of `groups`.
        stages: the table; multiples rise, since a unit of stride 2 adds channels to its input's.
    """

    width: float = 1.0
    resolution: int = 224
    num_classes: int = 1000
    img_channels: int = 3
    dropout: float = 0.0
    drop_path: float = 0.0
    groups: int = 3
    channels: int = 240
    stages: tuple[ShuffleStage, ...] = BASE_STAGES

    def __post_init__(self) -> None:
        require_common(self)
        require_int("groups", self.groups, at_least=1)
        require_int("channels", self.channels, at_least=1)
        require_rows("stages", self.stages, ShuffleStage)
        multiples = tuple(stage.multiple for stage in self.stages)
        if any(after <= before for before, after in pairwise(multiples)):
            raise ConfigError(f"multiples of the stages must rise from each to the next, not {multiples}.")

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution; the same for all widths."""
        return round_channels(STEM_CHANNELS, self.groups)

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of every stage. The first has more than the stem, since its first unit adds channels."""
        divisor = 4 * self.groups  # a unit has a quarter inside
        least = (self.stem_channels // divisor + 1) * divisor
        first = max(least, round_channels(self.channels * self.width, divisor))
        return tuple(first * stage.multiple for stage in self.stages)

    @property
    def feature_channels(self) -> int:
        """Channels of the last map."""
        return self.stage_channels[-1]

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
        """Output channels of every block: the pooling and the units."""
        units = zip(self.stage_channels, self.stages, strict=True)
        return (self.stem_channels, *(c for channels, stage in units for c in (channels,) * stage.repeats))

    @property
    def block_strides(self) -> tuple[int, ...]:
        """Stride of every block."""
        return (2, *(2 if unit == 0 else 1 for stage in self.stages for unit in range(stage.repeats)))

    @property
    def drop_paths(self) -> tuple[float, ...]:
        """Stochastic depth of every block, 0 for the pooling."""
        total = sum(stage.repeats for stage in self.stages)
        return (0.0, *(self.drop_path * position / total for position in range(total)))


VARIANTS: Mapping[str, Variant[ShuffleNetV1Config]] = MappingProxyType(
    {
        "g1": Variant(ShuffleNetV1Config(groups=1, channels=144), 1_531_936, 143_078_976),
        "g2": Variant(ShuffleNetV1Config(groups=2, channels=200), 1_733_848, 140_836_512),
        "g3": Variant(ShuffleNetV1Config(groups=3, channels=240), 1_865_728, 137_460_672),
        "g4": Variant(ShuffleNetV1Config(groups=4, channels=272), 1_968_344, 134_339_776),
        "g8": Variant(ShuffleNetV1Config(groups=8, channels=384), 2_434_768, 138_365_952),
    }
)
