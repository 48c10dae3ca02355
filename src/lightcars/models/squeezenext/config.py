"""SqueezeNext's architecture as data: the tables of stages of SqueezeNext-23 and -23v5. No torch.

Source: arXiv 1803.10615; v5 moves blocks from the first stages to the third. The stem is not padded and
images have 227 pixels, as in the authors' Caffe release; only its v5 has a stem of 5 x 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from lightcars.models.config import Variant
from lightcars.models.features import smallest_dynamic_side
from lightcars.models.scaling import round_repeats
from lightcars.models.validation import require_common, require_int, require_positive, require_rows

STEM_CHANNELS, OUT_CHANNELS = 64, 128
STEM_KERNEL_SIZE = 7
POOL_SIZE = 3
"""Side of the max pooling after the stem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezeNextStage:
    """`repeats` blocks; only the first one has `stride`. Channels are those of width 1."""

    stride: int
    channels: int
    repeats: int

    def __post_init__(self) -> None:
        for field in fields(self):
            require_int(field.name, getattr(self, field.name), at_least=1)


def _stages(*repeats: int) -> tuple[SqueezeNextStage, ...]:
    rows = zip((1, 2, 2, 2), (32, 64, 128, 256), repeats, strict=True)
    return tuple(SqueezeNextStage(stride=s, channels=channels, repeats=n) for s, channels, n in rows)


STAGES_23 = _stages(6, 6, 8, 1)
STAGES_23_V5 = _stages(2, 4, 14, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezeNextConfig:
    """Everything that determines a SqueezeNext.

    Attributes:
        width: multiplier of all channels.
        depth: multiplier of the number of blocks of every stage.
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        out_channels: number of channels before the classifier; None means 128 scaled by `width`.
        dropout: dropout probability before the classifier.
        drop_path: stochastic depth rate of the last block; it grows linearly from 0 at the first block.
        stem_padding: zeros on every side of the image; 0 as the authors have it, 1 in pytorchcv's weights.
        stages: rows of the architecture table at width 1.
    """

    width: float = 1.0
    depth: float = 1.0
    resolution: int = 227
    num_classes: int = 1000
    img_channels: int = 3
    out_channels: int | None = None
    dropout: float = 0.0
    drop_path: float = 0.0
    stem_padding: int = 0
    stages: tuple[SqueezeNextStage, ...] = STAGES_23

    def __post_init__(self) -> None:
        require_common(self)
        require_positive("depth", self.depth, at_most=20)
        require_int("stem_padding", self.stem_padding, at_least=0)
        require_rows("stages", self.stages, SqueezeNextStage)

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self.width))

    @property
    def stage_repeats(self) -> tuple[int, ...]:
        """Blocks of every stage, scaled by depth."""
        return tuple(round_repeats(stage.repeats, self.depth) for stage in self.stages)

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution."""
        return self._scaled(STEM_CHANNELS)

    @property
    def feature_channels(self) -> int:
        """Channels of the last map."""
        return self.head_channels

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""
        return self._scaled(OUT_CHANNELS) if self.out_channels is None else self.out_channels

    @property
    def stem_stride(self) -> int:
        """Stride of the first convolution."""
        return 2

    @property
    def block_channels(self) -> tuple[int, ...]:
        """Output channels of every block: the pooling and the blocks of the stages."""
        rows = zip(self.stages, self.stage_repeats, strict=True)
        return (self.stem_channels, *(self._scaled(row.channels) for row, n in rows for _ in range(n)))

    @property
    def block_strides(self) -> tuple[int, ...]:
        """Stride of every block."""
        rows = zip(self.stages, self.stage_repeats, strict=True)
        return (2, *(row.stride if block == 0 else 1 for row, n in rows for block in range(n)))

    @property
    def drop_paths(self) -> tuple[float, ...]:
        """Stochastic depth of every block, 0 for the pooling."""
        total = sum(self.stage_repeats)
        return (0.0, *(self.drop_path * position / total for position in range(total)))

    @property
    def min_dynamic_resolution(self) -> int:
        """Smallest height and width of a graph that is exported for any of them."""
        return smallest_dynamic_side(self, len(self.block_strides) - 1)

    def map_side(self, side: int, block: int) -> int:
        """Return the pixels of a side of a block's output, as `lightcars.models.features.OwnSizes` says.

        The stem is not padded by half a kernel, and the last window of the pooling may reach beyond the map.
        """
        side = (side + 2 * self.stem_padding - STEM_KERNEL_SIZE) // self.stem_stride + 1
        pooling, *strides = self.block_strides[: block + 1]
        side = -(-(side - POOL_SIZE) // pooling) + 1
        for stride in strides:
            side = -(-side // stride)
        return side


VARIANTS: Mapping[str, Variant[SqueezeNextConfig]] = MappingProxyType(
    {
        "100": Variant(SqueezeNextConfig(), 724_056, 277_999_808),
        "100v5": Variant(SqueezeNextConfig(stages=STAGES_23_V5), 921_816, 279_022_784),
        "200": Variant(SqueezeNextConfig(width=2.0), 2_583_752, 879_911_296),
        "200v5": Variant(SqueezeNextConfig(width=2.0, stages=STAGES_23_V5), 3_366_344, 884_003_200),
    }
)
