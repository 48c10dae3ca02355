"""MobileNetV4's convolutional architectures as data: the tables of blocks. No torch.

Source: arXiv 2404.10518, appendix, the specifications of MNv4-Conv-S and MNv4-Conv-M.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from lightcars.errors import ConfigError
from lightcars.models.config import Variant
from lightcars.models.scaling import round_channels
from lightcars.models.validation import require_common, require_int, require_one_of, require_rows

CHANNEL_DIVISOR = 8

Kind = Literal["conv", "fused", "uib"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV4Block:
    """One block. In the tables the channels are those of width 1.

    Attributes:
        kind: a convolution with its norm and activation, a fused MBConv, or a universal inverted bottleneck.
        channels: behind the block.
        kernel_size: of a full convolution, or of the bottleneck's depthwise one behind the expansion, where 0
            is for none.
        start_kernel_size: of the bottleneck's depthwise convolution before the expansion; 0 for none.
        expand_ratio: hidden channels per input channel; ignored for a convolution.
        stride: of the block.
    """

    kind: Kind
    channels: int
    kernel_size: int
    start_kernel_size: int = 0
    expand_ratio: int = 1
    stride: int = 1

    def __post_init__(self) -> None:
        require_one_of("kind", self.kind, ("conv", "fused", "uib"))
        for name in ("channels", "expand_ratio", "stride"):
            require_int(name, getattr(self, name), at_least=1)
        require_int("kernel_size", self.kernel_size, at_least=0 if self.kind == "uib" else 1)
        require_int("start_kernel_size", self.start_kernel_size, at_least=0)
        if self.stride > 1 and not (self.kernel_size or self.start_kernel_size):
            raise ConfigError("stride must be 1 in a block without a depthwise convolution.")


def _conv(kernel_size: int, channels: int, stride: int = 1) -> MobileNetV4Block:
    return MobileNetV4Block(kind="conv", kernel_size=kernel_size, channels=channels, stride=stride)


def _uib(start: int, kernel_size: int, expand_ratio: int, channels: int, stride: int = 1) -> MobileNetV4Block:
    return MobileNetV4Block(
        kind="uib",
        start_kernel_size=start,
        kernel_size=kernel_size,
        expand_ratio=expand_ratio,
        channels=channels,
        stride=stride,
    )


SMALL_BLOCKS = (
    _conv(3, 32, stride=2),
    _conv(1, 32),
    _conv(3, 96, stride=2),
    _conv(1, 64),
    _uib(5, 5, 3, 96, stride=2),
    _uib(0, 3, 2, 96),
    _uib(0, 3, 2, 96),
    _uib(0, 3, 2, 96),
    _uib(0, 3, 2, 96),
    _uib(3, 0, 4, 96),
    _uib(3, 3, 6, 128, stride=2),
    _uib(5, 5, 4, 128),
    _uib(0, 5, 4, 128),
    _uib(0, 5, 3, 128),
    _uib(0, 3, 4, 128),
    _uib(0, 3, 4, 128),
)
MEDIUM_BLOCKS = (
    MobileNetV4Block(kind="fused", kernel_size=3, expand_ratio=4, channels=48, stride=2),
    _uib(3, 5, 4, 80, stride=2),
    _uib(3, 3, 2, 80),
    _uib(3, 5, 6, 160, stride=2),
    _uib(3, 3, 4, 160),
    _uib(3, 3, 4, 160),
    _uib(3, 5, 4, 160),
    _uib(3, 3, 4, 160),
    _uib(3, 0, 4, 160),
    _uib(0, 0, 2, 160),
    _uib(3, 0, 4, 160),
    _uib(5, 5, 6, 256, stride=2),
    _uib(5, 5, 4, 256),
    _uib(3, 5, 4, 256),
    _uib(3, 5, 4, 256),
    _uib(0, 0, 4, 256),
    _uib(3, 0, 4, 256),
    _uib(3, 5, 2, 256),
    _uib(5, 5, 4, 256),
    _uib(0, 0, 4, 256),
    _uib(0, 0, 4, 256),
    _uib(5, 0, 2, 256),
)
BASE_STEM_CHANNELS = 32
BASE_FEATURE_CHANNELS = 960


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV4Config:
    """Everything that determines a convolutional MobileNetV4.

    Attributes:
        width: multiplier of the channels of blocks and last map (not of `out_channels`), and of those of the
            stem if above 1.
        resolution: side in pixels of the square input that the model is meant for; other sizes work too.
        num_classes: number of outputs; 0 removes the classifier.
        img_channels: number of channels of the input.
        out_channels: number of channels before the classifier.
        dropout: dropout probability before the classifier.
        drop_path: stochastic depth rate of the last block; it grows linearly from 0 at the first block.
        blocks: rows of the architecture table at width 1, those of the small size by default.
    """

    width: float = 1.0
    resolution: int = 224
    num_classes: int = 1000
    img_channels: int = 3
    out_channels: int = 1280
    dropout: float = 0.2
    drop_path: float = 0.0
    blocks: tuple[MobileNetV4Block, ...] = SMALL_BLOCKS

    def __post_init__(self) -> None:
        require_common(self)
        require_rows("blocks", self.blocks, MobileNetV4Block)

    def _scaled(self, channels: int) -> int:
        return round_channels(channels * self.width, CHANNEL_DIVISOR)

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution."""
        return max(BASE_STEM_CHANNELS, self._scaled(BASE_STEM_CHANNELS))

    @property
    def feature_channels(self) -> int:
        """Channels of the last map, before pooling."""
        return self._scaled(BASE_FEATURE_CHANNELS)

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

    @property
    def drop_paths(self) -> tuple[float, ...]:
        """Stochastic depth of every block."""
        total = len(self.blocks)
        return tuple(self.drop_path * position / total for position in range(total))


VARIANTS: Mapping[str, Variant[MobileNetV4Config]] = MappingProxyType(
    {
        "conv_small": Variant(MobileNetV4Config(), 3_774_024, 186_005_568),
        "conv_medium": Variant(
            MobileNetV4Config(blocks=MEDIUM_BLOCKS, resolution=256), 9_715_512, 1_080_244_224
        ),
    }
)
