"""MobileNetV1 as a module.

Paper: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
arXiv 1704.04861, table 1. Reference implementation: the authors' TensorFlow code, whose ReLU6 it has.
Deliberate differences: symmetric padding and PyTorch's BatchNorm constants, as in timm's weights; initial
weights by He's rule.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import BlockSequence, ConvNormAct, ConvStyle, DepthwiseSeparable, initialize
from lightcars.layers.initialization import relu_fan_in
from lightcars.models.image_model import ImageModel
from lightcars.models.mobilenetv1.config import MobileNetV1Config


@final
class MobileNetV1(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: MobileNetV1Config

    def __init__(self, config: MobileNetV1Config) -> None:
        style = ConvStyle(activation=nn.ReLU6, initial=relu_fan_in)
        channels = (config.stem_channels, *config.block_channels)
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
                    DepthwiseSeparable(before, after, stride=stride, style=style)
                    for before, after, stride in zip(
                        channels[:-1], channels[1:], config.block_strides, strict=True
                    )
                )
            ),
        )

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=relu_fan_in)
