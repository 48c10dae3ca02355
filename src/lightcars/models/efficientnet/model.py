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

from lightcars.layers import BlockSequence, ConvNormAct, ConvStyle, MBConv, SqueezeExcite
from lightcars.models.efficientnet.config import Activation, EfficientNetConfig
from lightcars.models.image_model import ImageModel
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
            blocks=BlockSequence(*(_block(block, config.squeeze_reduction, style) for block in blocks)),
            head=ConvNormAct(blocks[-1].out_channels, config.head_channels, style=style),
        )


def _block(block: MBConvBlock, squeeze_reduction: int, style: ConvStyle) -> MBConv:
    squeeze_excite = None
    if squeeze_reduction:
        squeeze_excite = partial(
            SqueezeExcite,
            reduced_channels=max(1, block.in_channels // squeeze_reduction),
            activation=style.activation,
            initial=style.initial,
        )
    return MBConv(
        block.in_channels,
        block.out_channels,
        expand_ratio=block.expand_ratio,
        kernel_size=block.kernel_size,
        stride=block.stride,
        squeeze_excite=squeeze_excite,
        drop_path=block.drop_path,
        style=style,
    )
