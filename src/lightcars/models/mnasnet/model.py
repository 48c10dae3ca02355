"""MNASNet as a module.

Paper: Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", arXiv 1807.11626.
Reference implementation: the authors' TensorFlow code.
Deliberate differences: symmetric padding and PyTorch's BatchNorm constants (torchvision's momentum is 3e-4);
a width at which the first or last block keeps its number of channels (a quarter, say) gives it a shortcut.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import BlockSequence, ConvNormAct, ConvStyle, MBConv
from lightcars.models.image_model import ImageModel
from lightcars.models.mnasnet.config import MNASNetConfig


@final
class MNASNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: MNASNetConfig

    def __init__(self, config: MNASNetConfig) -> None:
        style = ConvStyle(activation=nn.ReLU)
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
            head=ConvNormAct(blocks[-1].out_channels, config.out_channels, style=style),
        )
