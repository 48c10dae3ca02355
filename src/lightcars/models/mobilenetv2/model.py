"""MobileNetV2 as a module.

Paper: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381, table 2 and
section 4. Reference implementation: the authors' TensorFlow code.
Deliberate differences: symmetric padding and PyTorch's BatchNorm constants, as in torchvision and timm.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import BlockSequence, ConvNormAct, ConvStyle, MBConv
from lightcars.models.image_model import ImageModel
from lightcars.models.mobilenetv2.config import MobileNetV2Config


@final
class MobileNetV2(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: MobileNetV2Config

    def __init__(self, config: MobileNetV2Config) -> None:
        style = ConvStyle(activation=nn.ReLU6)
        blocks = config.blocks()
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
                    MBConv(
                        block.in_channels,
                        block.out_channels,
                        expand_ratio=block.expand_ratio,
                        kernel_size=block.kernel_size,
                        stride=block.stride,
                        drop_path=block.drop_path,
                        style=style,
                    )
                    for block in blocks
                )
            ),
            head=ConvNormAct(blocks[-1].out_channels, config.head_channels, style=style),
        )
