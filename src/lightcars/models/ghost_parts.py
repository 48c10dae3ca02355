"""The parts of GhostNet and its successors, around bottlenecks of each family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict

from torch import nn

from lightcars.layers import BlockSequence, ConvNormAct, ConvStyle, GlobalAveragePool, SqueezeExcite
from lightcars.layers.initialization import conv2d, fan_in
from lightcars.models.ghost_config import GhostTableConfig


class Parts(TypedDict):
    """Arguments of `ImageModel`."""

    stem: nn.Module
    blocks: BlockSequence
    head: nn.Module
    pool: nn.Module
    neck: nn.Module


OFFICIAL = ConvStyle(activation=nn.ReLU, initial=fan_in)
"""Initial weights keep the variance of a map."""


def official_parts(config: GhostTableConfig, *bottlenecks: Callable[..., nn.Module]) -> Parts:
    """Return the parts of a network in the official form.

    Args:
        config: its table.
        bottlenecks: make the blocks, with the arguments of `GhostBottleneck`; the last one makes all
            further ones.
    """

    def squeeze(channels: int) -> SqueezeExcite:
        return SqueezeExcite(
            channels,
            reduced_channels=config.squeeze_channels(channels),
            activation=nn.ReLU,
            gate=nn.Hardsigmoid,
            initial=fan_in,
        )

    neck = nn.Sequential(conv2d(config.feature_channels, config.out_channels, initial=fan_in), nn.ReLU())
    return Parts(
        **backbone(config, OFFICIAL, squeeze, bottlenecks), pool=GlobalAveragePool(keepdim=True), neck=neck
    )


class Backbone(TypedDict):
    """The first three arguments of `ImageModel`."""

    stem: nn.Module
    blocks: BlockSequence
    head: nn.Module


def backbone(
    config: GhostTableConfig,
    style: ConvStyle,
    squeeze: Callable[[int], nn.Module],
    bottlenecks: Sequence[Callable[..., nn.Module]],
) -> Backbone:
    """Return stem, blocks and head, with `squeeze`'s layers where the table has one."""
    blocks = config.scaled_blocks()
    inputs = [config.stem_channels, *(block.channels for block in blocks[:-1])]
    return Backbone(
        stem=ConvNormAct(
            config.img_channels, config.stem_channels, kernel_size=3, stride=config.stem_stride, style=style
        ),
        blocks=BlockSequence(
            *(
                bottlenecks[min(position, len(bottlenecks) - 1)](
                    inputs[position],
                    block.hidden_channels,
                    block.channels,
                    kernel_size=block.kernel_size,
                    stride=block.stride,
                    squeeze_excite=squeeze if block.squeeze else None,
                    drop_path=config.drop_paths[position],
                    style=style,
                )
                for position, block in enumerate(blocks)
            )
        ),
        head=ConvNormAct(blocks[-1].channels, config.feature_channels, style=style),
    )
