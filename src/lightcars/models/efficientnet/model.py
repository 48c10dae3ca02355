"""EfficientNet as a module.

Paper: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv
1905.11946, table 1 and section 3.3. Reference implementation: the authors' TensorFlow code.
EfficientNet-Lite (no squeeze-and-excitation, ReLU6, unscaled ends) has no paper, only their code.
Deliberate differences: symmetric padding and PyTorch's BatchNorm constants unless the config asks for
TensorFlow's; initial weights as `lightcars.layers.initialize` explains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import final

from torch import nn

from lightcars.layers import ConvStyle, MBConv, SqueezeExcite
from lightcars.models.efficientnet.config import Activation, EfficientNetConfig
from lightcars.models.image_model import ImageModel
from lightcars.models.mbconv_parts import mbconv, mbconv_parts
from lightcars.models.mbconv_stages import MBConvBlock

ACTIVATIONS: Mapping[Activation, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu6": nn.ReLU6,
}


@final
class EfficientNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: EfficientNetConfig

    def __init__(self, config: EfficientNetConfig) -> None:
        style = ConvStyle(
            activation=ACTIVATIONS[config.activation],
            padding=config.padding,
            eps=config.batch_norm_eps,
            momentum=config.batch_norm_momentum,
        )
        blocks = (_block(block, config.squeeze_reduction, style) for block in config.blocks())
        super().__init__(config, **mbconv_parts(config, style, blocks))


def _block(block: MBConvBlock, squeeze_reduction: int, style: ConvStyle) -> MBConv:
    if not squeeze_reduction:
        return mbconv(block, style)
    squeeze_excite = partial(
        SqueezeExcite,
        reduced_channels=max(1, block.in_channels // squeeze_reduction),
        activation=style.activation,
        initial=style.initial,
    )
    return mbconv(block, style, squeeze_excite=squeeze_excite)
