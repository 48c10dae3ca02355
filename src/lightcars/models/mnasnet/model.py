"""MNASNet as a module.

Paper: Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", arXiv 1807.11626.
Reference implementation: the authors' TensorFlow code.
Deliberate differences: symmetric padding and PyTorch's BatchNorm constants (torchvision's momentum is 3e-4);
a width at which the first or last block keeps its number of channels (a quarter, say) gives it a shortcut.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import ConvStyle
from lightcars.models.image_model import ImageModel
from lightcars.models.mbconv_parts import mbconv, mbconv_parts
from lightcars.models.mnasnet.config import MNASNetConfig


@final
class MNASNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: MNASNetConfig

    def __init__(self, config: MNASNetConfig) -> None:
        style = ConvStyle(activation=nn.ReLU)
        blocks = (mbconv(block, style) for block in config.blocks())
        super().__init__(config, **mbconv_parts(config, style, blocks))
