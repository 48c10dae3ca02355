"""SqueezeNet as a module.

Paper: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model size",
arXiv 1602.07360, table 1. Reference implementation: torchvision's. Deliberate difference: the classifier's
initial weights are those of a linear layer, where torchvision samples them with a deviation of 0.01.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import BlockSequence, CeilMaxPool, ConvAct, ConvStyle, Fire
from lightcars.layers.initialization import conv2d, fill_convolution, initialize, relu_fan_in
from lightcars.models.image_model import ImageModel
from lightcars.models.squeezenet.config import POOL_SIZE, FireBlock, SqueezeNetConfig

STYLE = ConvStyle(activation=nn.ReLU, initial=relu_fan_in)


@final
class SqueezeNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits of at least 0, for any H and W of at least 32.

    The classifier is a 1x1 convolution of the last map; its outputs pass a ReLU and are averaged. See
    `ImageModel` for what the model can do beyond `forward`.
    """

    config: SqueezeNetConfig

    def __init__(self, config: SqueezeNetConfig) -> None:
        blocks = config.scaled_blocks()
        inputs = (config.scaled_stem_channels, *config.block_channels[:-1])
        super().__init__(
            config,
            stem=ConvAct(
                config.img_channels,
                config.scaled_stem_channels,
                kernel_size=config.stem_kernel_size,
                stride=config.stem_stride,
                style=STYLE,
            ),
            blocks=BlockSequence(
                *(_block(in_channels, block) for in_channels, block in zip(inputs, blocks, strict=True))
            ),
        )

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=STYLE.initial)
        if isinstance(self.classifier, nn.Conv2d) and any(one is self.classifier for one in module.modules()):
            fill_convolution(self.classifier, nn.Conv2d.reset_parameters)

    def _make_classifier(self) -> nn.Module:
        if self.config.num_classes == 0:
            return nn.Identity()
        channels, classes = self.config.head_channels, self.config.num_classes
        return conv2d(channels, classes, initial=nn.Conv2d.reset_parameters)


def _block(in_channels: int, block: FireBlock) -> nn.Module:
    fire = Fire(in_channels, block.squeeze_channels, block.channels, style=STYLE)
    if block.stride == 1:
        return fire
    return nn.Sequential(CeilMaxPool(POOL_SIZE, stride=block.stride), fire)
