"""MobileNetV2 as a module.

Paper: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381, table 2 and
section 4. Reference implementation: the authors' TensorFlow code.
Deliberate differences: symmetric padding and PyTorch's BatchNorm constants, as in torchvision and timm.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import ConvStyle
from lightcars.models.image_model import ImageModel
from lightcars.models.mbconv_parts import mbconv, mbconv_parts
from lightcars.models.mobilenetv2.config import MobileNetV2Config


@final
class MobileNetV2(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: MobileNetV2Config

    def __init__(self, config: MobileNetV2Config) -> None:
        style = ConvStyle(activation=nn.ReLU6)
        blocks = (mbconv(block, style) for block in config.blocks())
        super().__init__(config, **mbconv_parts(config, style, blocks))
