"""ShuffleNetV2 as a module.

Paper: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", arXiv
1807.11164, table 5 and figure 3. Reference implementation: torchvision's. Deliberate differences: dropout
before the classifier if the config asks for it; initial weights that keep the variance of a map.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import BlockSequence, ConvNormAct, ConvStyle, ShuffleV2Unit
from lightcars.layers.initialization import initialize, linear_depthwise
from lightcars.models.image_model import ImageModel
from lightcars.models.shufflenetv2.config import ShuffleNetV2Config

STYLE = ConvStyle(activation=nn.ReLU, initial=linear_depthwise)


@final
class ShuffleNetV2(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: ShuffleNetV2Config

    def __init__(self, config: ShuffleNetV2Config) -> None:
        channels, strides = config.block_channels, config.block_strides
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
                nn.MaxPool2d(3, stride=strides[0], padding=1),
                *(
                    ShuffleV2Unit(before, after, stride=stride, style=STYLE)
                    for before, after, stride in zip(channels, channels[1:], strides[1:], strict=False)
                ),
            ),
            head=ConvNormAct(channels[-1], config.feature_channels, style=STYLE),
        )

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=STYLE.initial)
