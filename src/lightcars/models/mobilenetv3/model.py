"""MobileNetV3 as a module.

Paper: Howard et al., "Searching for MobileNetV3", arXiv 1905.02244, tables 1 and 2, sections 5.2 (hardswish)
and 5.3 (squeeze-and-excitation: a quarter of the hidden channels). Reference implementation: the authors'
TensorFlow code, which rounds that quarter to a multiple of 8.
Deliberate differences: symmetric padding and PyTorch's BatchNorm constants unless the config asks for
TensorFlow's; initial weights keep the variance of a map before its activation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import final

from torch import nn

from lightcars.layers import (
    BlockSequence,
    ConvNormAct,
    ConvStyle,
    GlobalAveragePool,
    MBConv,
    SqueezeExcite,
    initialize,
)
from lightcars.layers.initialization import conv2d, hardswish_fan_in
from lightcars.models.image_model import ImageModel
from lightcars.models.mobilenetv3.config import (
    CHANNEL_DIVISOR,
    SQUEEZE_REDUCTION,
    Activation,
    MobileNetV3Block,
    MobileNetV3Config,
)
from lightcars.models.scaling import round_channels

ACTIVATIONS: Mapping[Activation, Callable[[], nn.Module]] = {"relu": nn.ReLU, "hardswish": nn.Hardswish}


@final
class MobileNetV3(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: MobileNetV3Config

    def __init__(self, config: MobileNetV3Config) -> None:
        style = ConvStyle(
            activation=nn.Hardswish,
            initial=hardswish_fan_in,
            padding=config.padding,
            eps=config.batch_norm_eps,
            momentum=config.batch_norm_momentum,
        )
        rows = zip(config.block_inputs, config.scaled_blocks(), config.drop_paths, strict=True)
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
                conv2d(config.feature_channels, config.out_channels, initial=hardswish_fan_in), nn.Hardswish()
            ),
        )

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=hardswish_fan_in)


def _block(in_channels: int, block: MobileNetV3Block, drop_path: float, style: ConvStyle) -> MBConv:
    return MBConv(
        in_channels,
        block.channels,
        expand_ratio=block.hidden_channels / in_channels,
        kernel_size=block.kernel_size,
        stride=block.stride,
        squeeze_excite=partial(_squeeze, style) if block.squeeze else None,
        drop_path=drop_path,
        style=replace(style, activation=ACTIVATIONS[block.activation]),
    )


def _squeeze(style: ConvStyle, channels: int) -> SqueezeExcite:
    return SqueezeExcite(
        channels,
        reduced_channels=round_channels(channels // SQUEEZE_REDUCTION, CHANNEL_DIVISOR),
        activation=nn.ReLU,
        gate=nn.Hardsigmoid,
        initial=style.initial,
    )
