"""EfficientNetV2 as a module.

Paper: Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", arXiv 2104.00298, table 4 and section
3.2. Reference implementation: the authors' TensorFlow code. Deliberate differences: symmetric padding and
PyTorch's BatchNorm constants unless the config asks for TensorFlow's.
"""

from __future__ import annotations

from functools import partial
from typing import final

from torch import nn

from lightcars.layers import ConvStyle, FusedMBConv, SqueezeExcite
from lightcars.models.efficientnetv2.config import SQUEEZE_REDUCTION, EfficientNetV2Config
from lightcars.models.image_model import ImageModel
from lightcars.models.mbconv_parts import mbconv, mbconv_parts
from lightcars.models.mbconv_stages import MBConvBlock


@final
class EfficientNetV2(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: EfficientNetV2Config

    def __init__(self, config: EfficientNetV2Config) -> None:
        style = ConvStyle(
            activation=nn.SiLU,
            padding=config.padding,
            eps=config.batch_norm_eps,
            momentum=config.batch_norm_momentum,
        )
        stages = config.stages
        blocks = (_block(block, style, fused=stages[block.stage].fused) for block in config.blocks())
        super().__init__(config, **mbconv_parts(config, style, blocks))


def _block(block: MBConvBlock, style: ConvStyle, *, fused: bool) -> nn.Module:
    if fused:
        return FusedMBConv(
            block.in_channels,
            block.out_channels,
            expand_ratio=block.expand_ratio,
            kernel_size=block.kernel_size,
            stride=block.stride,
            drop_path=block.drop_path,
            style=style,
        )
    squeeze_excite = partial(
        SqueezeExcite,
        reduced_channels=max(1, block.in_channels // SQUEEZE_REDUCTION),
        activation=style.activation,
    )
    return mbconv(block, style, squeeze_excite=squeeze_excite)
