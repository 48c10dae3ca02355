"""GhostNet as a module, in both forms.

Paper: Han et al., "GhostNet: More Features from Cheap Operations", arXiv 1911.11907, table 1. Reference
implementations: Huawei's for the official form (timm's is the same), the 2020 GhostNet thesis's for its.
Deliberate difference: the official form's initial weights keep the variance of a map, where Huawei's code
takes PyTorch's defaults; the thesis form starts as the thesis's code does.
"""

from __future__ import annotations

from functools import partial
from typing import final

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
from lightcars.models.ghostnet.config import GhostNetConfig
from lightcars.models.image_model import ImageModel


@final
class GhostNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: GhostNetConfig

    def __init__(self, config: GhostNetConfig) -> None:
        style = _style(config)
        blocks = config.scaled_blocks()
        inputs = [config.stem_channels, *(block.channels for block in blocks[:-1])]
        super().__init__(
            config,
            stem=ConvNormAct(
                config.img_channels,
                config.stem_channels,
                kernel_size=3,
                stride=config.stem_stride,
                style=style,
            ),
            blocks=BlockSequence(
                *(
                    GhostBottleneck(
                        in_channels,
                        block.hidden_channels,
                        block.channels,
                        kernel_size=block.kernel_size,
                        stride=block.stride,
                        squeeze_excite=partial(_squeeze, config) if block.squeeze else None,
                        drop_path=drop_path,
                        style=style,
                    )
                    for in_channels, block, drop_path in zip(inputs, blocks, config.drop_paths, strict=True)
                )
            ),
            head=ConvNormAct(blocks[-1].channels, config.feature_channels, style=style),
            pool=GlobalAveragePool(keepdim=config.form == "official"),
            neck=_neck(config),
        )

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=_style(self.config).initial)


def _style(config: GhostNetConfig) -> ConvStyle:
    """Initial weights that keep the variance of a map, or those of the thesis's code."""
    return ConvStyle(activation=nn.ReLU, initial=kaiming_fan_out if config.form == "thesis" else fan_in)


def _squeeze(config: GhostNetConfig, channels: int) -> SqueezeExcite:
    thesis = config.form == "thesis"
    return SqueezeExcite(
        channels,
        reduced_channels=config.squeeze_channels(channels),
        form="linear" if thesis else "conv",
        activation=nn.ReLU,
        gate=ClampGate if thesis else nn.Hardsigmoid,
        initial=_style(config).initial,
    )


def _neck(config: GhostNetConfig) -> nn.Sequential:
    """Return the layers from the pooled map to the vector before the classifier."""
    if config.form == "thesis":
        return nn.Sequential(
            linear(config.feature_channels, config.out_channels, bias=False),
            nn.BatchNorm1d(config.out_channels),
            nn.ReLU(),
        )
    return nn.Sequential(conv2d(config.feature_channels, config.out_channels, initial=fan_in), nn.ReLU())
