"""GhostNet as a module, in both forms.

Paper: Han et al., "GhostNet: More Features from Cheap Operations", arXiv 1911.11907, table 1. Reference
implementations: Huawei's for the official form (timm's is the same), the 2020 GhostNet thesis's for its.
Deliberate difference: the official form's initial weights keep the variance of a map, where Huawei's code
takes PyTorch's defaults; the thesis form starts as the thesis's code does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict, final

from torch import nn

from lightcars.layers import (
    BlockSequence,
    ClampGate,
    ConvNormAct,
    ConvStyle,
    GhostBottleneck,
    GlobalAveragePool,
    SqueezeExcite,
    initialize,
)
from lightcars.layers.initialization import conv2d, fan_in, kaiming_fan_out, linear
from lightcars.models.ghostnet.config import GhostNetConfig, GhostTableConfig
from lightcars.models.image_model import ImageModel


@final
class GhostNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: GhostNetConfig

    def __init__(self, config: GhostNetConfig) -> None:
        if config.form == "official":
            super().__init__(config, **official_parts(config, GhostBottleneck))
        else:
            super().__init__(config, **_thesis_parts(config))

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=kaiming_fan_out if self.config.form == "thesis" else fan_in)


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
        **_backbone(config, OFFICIAL, squeeze, bottlenecks), pool=GlobalAveragePool(keepdim=True), neck=neck
    )


def _thesis_parts(config: GhostNetConfig) -> Parts:
    """As the thesis's code: its initial weights, its squeeze and its neck."""
    style = ConvStyle(activation=nn.ReLU, initial=kaiming_fan_out)

    def squeeze(channels: int) -> SqueezeExcite:
        return SqueezeExcite(
            channels,
            reduced_channels=config.squeeze_channels(channels),
            form="linear",
            activation=nn.ReLU,
            gate=ClampGate,
            initial=style.initial,
        )

    neck = nn.Sequential(
        linear(config.feature_channels, config.out_channels, bias=False),
        nn.BatchNorm1d(config.out_channels),
        nn.ReLU(),
    )
    return Parts(**_backbone(config, style, squeeze, (GhostBottleneck,)), pool=GlobalAveragePool(), neck=neck)


class _Backbone(TypedDict):
    stem: nn.Module
    blocks: BlockSequence
    head: nn.Module


def _backbone(
    config: GhostTableConfig,
    style: ConvStyle,
    squeeze: Callable[[int], nn.Module],
    bottlenecks: Sequence[Callable[..., nn.Module]],
) -> _Backbone:
    blocks = config.scaled_blocks()
    inputs = [config.stem_channels, *(block.channels for block in blocks[:-1])]
    return _Backbone(
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
