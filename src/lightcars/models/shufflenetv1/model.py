"""ShuffleNet as a module.

Paper: Zhang et al., "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
arXiv 1707.01083, table 1 and figure 2. Reference implementation: Megvii's. Deliberate difference: initial
weights that keep the logits of order one.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import BlockSequence, ConvNormAct, ConvStyle, ShuffleUnit
from lightcars.layers.initialization import fan_in, initialize
from lightcars.models.image_model import ImageModel
from lightcars.models.shufflenetv1.config import ShuffleNetV1Config

STYLE = ConvStyle(activation=nn.ReLU, initial=fan_in)


@final
class ShuffleNetV1(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: ShuffleNetV1Config

    def __init__(self, config: ShuffleNetV1Config) -> None:
        super().__init__(
            config,
            stem=ConvNormAct(
                config.img_channels,
                config.stem_channels,
                kernel_size=3,
                stride=config.stem_stride,
                style=STYLE,
            ),
            blocks=BlockSequence(
                nn.MaxPool2d(3, stride=config.block_strides[0], padding=1),
                *(_unit(config, position) for position in range(1, len(config.block_strides))),
            ),
        )

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=STYLE.initial)


def _unit(config: ShuffleNetV1Config, position: int) -> ShuffleUnit:
    """Return a block after the pooling; the first one has so few inputs that it does not group them."""
    return ShuffleUnit(
        config.block_channels[position - 1],
        config.block_channels[position],
        groups=config.groups,
        first_groups=1 if position == 1 else None,
        stride=config.block_strides[position],
        drop_path=config.drop_paths[position],
        style=STYLE,
    )
