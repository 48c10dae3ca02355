"""The parts of networks that are a table of MBConv stages between a 3x3 and a 1x1 convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypedDict

from torch import nn

from lightcars.layers import BlockSequence, ConvNormAct, ConvStyle, MBConv
from lightcars.models.mbconv_stages import MBConvBlock


class StageConfig(Protocol):
    """What the parts are built from, beside the blocks."""

    @property
    def img_channels(self) -> int:
        """Channels of the input."""

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution."""

    @property
    def stem_stride(self) -> int:
        """Stride of the first convolution."""

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""

    def blocks(self) -> tuple[MBConvBlock, ...]:
        """Return all blocks in order."""


class Parts(TypedDict):
    """Arguments of `ImageModel`."""

    stem: nn.Module
    blocks: BlockSequence
    head: nn.Module


def mbconv_parts(config: StageConfig, style: ConvStyle, blocks: Iterable[nn.Module]) -> Parts:
    """Return the parts around `blocks`, which are those of `config.blocks()`."""
    return Parts(
        stem=ConvNormAct(
            config.img_channels, config.stem_channels, kernel_size=3, stride=config.stem_stride, style=style
        ),
        blocks=BlockSequence(*blocks),
        head=ConvNormAct(config.blocks()[-1].out_channels, config.head_channels, style=style),
    )


def mbconv(
    block: MBConvBlock, style: ConvStyle, *, squeeze_excite: Callable[[int], nn.Module] | None = None
) -> MBConv:
    """Return a block of a table, with the squeeze-and-excitation that `squeeze_excite` makes."""
    return MBConv(
        block.in_channels,
        block.out_channels,
        expand_ratio=block.expand_ratio,
        kernel_size=block.kernel_size,
        stride=block.stride,
        squeeze_excite=squeeze_excite,
        drop_path=block.drop_path,
        style=style,
    )
