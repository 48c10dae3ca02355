"""MobileNetV4, its convolutional sizes, as a module.

Paper: Qin et al., "MobileNetV4: Universal Models for the Mobile Ecosystem", arXiv 2404.10518, section 3 and
the appendix. Reference implementation: the authors' TensorFlow code (Model Garden).
Deliberate differences: symmetric padding and PyTorch's BatchNorm constants, as in timm's weights; initial
weights that keep the variance of a map.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import (
    BlockSequence,
    ConvNormAct,
    ConvStyle,
    FusedMBConv,
    GlobalAveragePool,
    UniversalInvertedBottleneck,
    initialize,
)
from lightcars.layers.initialization import conv2d, fan_in
from lightcars.models.image_model import ImageModel
from lightcars.models.mobilenetv4.config import CHANNEL_DIVISOR, MobileNetV4Block, MobileNetV4Config
from lightcars.models.scaling import round_channels


@final
class MobileNetV4(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: MobileNetV4Config

    def __init__(self, config: MobileNetV4Config) -> None:
        style = ConvStyle(activation=nn.ReLU, initial=fan_in)
        rows = zip(config.block_inputs, config.block_channels, config.blocks, config.drop_paths, strict=True)
        super().__init__(
            config,
            stem=ConvNormAct(
                config.img_channels,
                config.stem_channels,
                kernel_size=3,
                stride=config.stem_stride,
                style=style,
            ),
            blocks=BlockSequence(*(_block(*row, style) for row in rows)),
            head=ConvNormAct(config.block_channels[-1], config.feature_channels, style=style),
            pool=GlobalAveragePool(keepdim=True),
            neck=nn.Sequential(
                conv2d(config.feature_channels, config.out_channels, bias=False, initial=fan_in),
                nn.BatchNorm2d(config.out_channels),
                nn.ReLU(),
            ),
        )

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=fan_in)


def _block(
    in_channels: int, out_channels: int, block: MobileNetV4Block, drop_path: float, style: ConvStyle
) -> nn.Module:
    if block.kind == "conv":
        return ConvNormAct(
            in_channels, out_channels, kernel_size=block.kernel_size, stride=block.stride, style=style
        )
    if block.kind == "fused":
        return FusedMBConv(
            in_channels,
            out_channels,
            expand_ratio=block.expand_ratio,
            kernel_size=block.kernel_size,
            stride=block.stride,
            drop_path=drop_path,
            style=style,
        )
    return UniversalInvertedBottleneck(
        in_channels,
        round_channels(in_channels * block.expand_ratio, CHANNEL_DIVISOR),
        out_channels,
        start_kernel_size=block.start_kernel_size,
        kernel_size=block.kernel_size,
        stride=block.stride,
        drop_path=drop_path,
        style=style,
    )
