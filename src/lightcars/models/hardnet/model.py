"""HarDNet as a module.

Paper: Chao et al., "HarDNet: A Low Memory Traffic Network", arXiv 1909.00948, section 3 and table 1.
Reference implementation: the authors' PyTorch code. Deliberate differences: no dropout inside HarDNet-85's
last stage; initial weights that keep the scale of a map.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import BlockSequence, ConvNormAct, ConvStyle, HarmonicDenseBlock
from lightcars.layers.initialization import initialize, linear_depthwise
from lightcars.models.hardnet.config import HarDNetConfig, harmonic_links
from lightcars.models.image_model import ImageModel

STYLE = ConvStyle(activation=nn.ReLU6, initial=linear_depthwise)


@final
class HarDNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: HarDNetConfig

    def __init__(self, config: HarDNetConfig) -> None:
        stem_channels = config.scaled_stem_channels
        second = ConvNormAct(
            stem_channels, 2 * stem_channels, kernel_size=1 if config.depthwise else 3, style=STYLE
        )
        pool = nn.MaxPool2d(3, stride=2, padding=1)
        super().__init__(
            config,
            stem=ConvNormAct(
                config.img_channels, stem_channels, kernel_size=3, stride=config.stem_stride, style=STYLE
            ),
            blocks=BlockSequence(
                nn.Sequential(second, _strided(2 * stem_channels) if config.depthwise else pool),
                *(_stage(config, position) for position in range(len(config.stages))),
            ),
            head=ConvNormAct(config.block_channels[-1], config.feature_channels, style=STYLE),
        )

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=STYLE.initial)


def _stage(config: HarDNetConfig, position: int) -> nn.Sequential:
    """Return downsampling, if any, the dense block and, except in the last stage, the 1x1 convolution."""
    stage, channels = config.stages[position], config.dense_channels(position)
    dense = HarmonicDenseBlock(
        harmonic_links(stage.layers), channels, depthwise=config.depthwise, style=STYLE
    )
    layers: list[nn.Module] = [dense]
    if stage.stride > 1:
        pool = nn.MaxPool2d(stage.stride, stride=stage.stride)
        layers.insert(0, _strided(channels[0], stage.stride) if config.depthwise else pool)
    if position < len(config.stages) - 1:
        joined = sum(channels[k] for k in dense.outputs)
        layers.append(ConvNormAct(joined, config.stage_outputs()[position], style=STYLE))
    return nn.Sequential(*layers)


def _strided(channels: int, stride: int = 2) -> ConvNormAct:
    return ConvNormAct(
        channels, channels, kernel_size=3, stride=stride, groups=channels, style=STYLE.linear()
    )
