"""SqueezeNext as a module.

Paper: Gholami et al., "SqueezeNext: Hardware-Aware Neural Network Design", arXiv 1803.10615. Reference
implementations: the authors' Caffe release and pytorchcv's (`sqnxt23_w1`). Deliberate differences: the 1x3
convolution always comes before the 3x1 one, and convolutions have a bias, as in pytorchcv's and luuuyi's
code; branches start with a quarter of the weight.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import BlockSequence, CeilMaxPool, ConvNormAct, ConvStyle, SqueezeNextBlock
from lightcars.layers.initialization import fan_in, initialize
from lightcars.models.image_model import ImageModel
from lightcars.models.squeezenext.config import POOL_SIZE, STEM_KERNEL_SIZE, SqueezeNextConfig

STYLE = ConvStyle(activation=nn.ReLU, initial=fan_in, bias=True)


@final
class SqueezeNext(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: SqueezeNextConfig

    def __init__(self, config: SqueezeNextConfig) -> None:
        channels, strides, drop_paths = config.block_channels, config.block_strides, config.drop_paths
        rows = zip(channels, channels[1:], strides[1:], drop_paths[1:], strict=False)
        super().__init__(
            config,
            stem=ConvNormAct(
                config.img_channels,
                config.stem_channels,
                kernel_size=STEM_KERNEL_SIZE,
                stride=config.stem_stride,
                padding=config.stem_padding,
                style=STYLE,
            ),
            blocks=BlockSequence(
                CeilMaxPool(POOL_SIZE, stride=strides[0]),
                *(
                    SqueezeNextBlock(before, after, stride=stride, drop_path=drop_path, style=STYLE)
                    for before, after, stride, drop_path in rows
                ),
            ),
            head=ConvNormAct(channels[-1], config.feature_channels, style=STYLE),
        )

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=STYLE.initial)
