"""GhostNet as a module, in both forms.

Paper: Han et al., "GhostNet: More Features from Cheap Operations", arXiv 1911.11907, table 1. Reference
implementations: Huawei's for the official form (timm's is the same), the 2020 GhostNet thesis's for its.
Deliberate difference: the official form starts from EfficientNet's initial weights, where Huawei's code
takes PyTorch's defaults; the thesis form starts as the thesis's code does.
"""

from __future__ import annotations

from functools import partial
from typing import final

from torch import Tensor, nn

from lightcars.errors import InputError
from lightcars.layers import (
    BlockSequence,
    ClampGate,
    ConvNormAct,
    ConvStyle,
    GhostBottleneck,
    GlobalAveragePool,
    SqueezeExcite,
    initialize,
)
from lightcars.layers.initialization import Conv2d, Linear
from lightcars.models.ghostnet.config import GhostNetConfig
from lightcars.models.image_model import ImageModel

STYLE = ConvStyle(activation=partial(nn.ReLU, inplace=True))


@final
class GhostNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: GhostNetConfig

    def __init__(self, config: GhostNetConfig) -> None:
        blocks = config.scaled_blocks()
        inputs = [config.stem_channels, *(block.channels for block in blocks[:-1])]
        super().__init__(
            config,
            stem=ConvNormAct(
                config.img_channels,
                config.stem_channels,
                kernel_size=3,
                stride=config.stem_stride,
                style=STYLE,
            ),
            blocks=BlockSequence(
                *(
                    GhostBottleneck(
                        in_channels,
                        block.hidden_channels,
                        block.channels,
                        kernel_size=block.kernel_size,
                        stride=block.stride,
                        squeeze_excite=partial(_squeeze, config) if block.squeeze else None,
                        drop_path=drop_path,
                        style=STYLE,
                    )
                    for in_channels, block, drop_path in zip(inputs, blocks, config.drop_paths, strict=True)
                )
            ),
            head=ConvNormAct(blocks[-1].channels, config.feature_channels, style=STYLE),
            pool=GlobalAveragePool(keepdim=config.form == "official"),
            neck=_neck(config),
        )
        if config.form == "thesis":
            self.reset_parameters()

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, per_group=self.config.form == "official")


@final
class VectorNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` whose error for a training batch of one says what to do. (N, C) -> the same.

    Raises:
        InputError: such a batch.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input.shape[0] == 1:
            raise InputError(
                "the thesis form of GhostNet cannot train on a batch of one image (its BatchNorm1d needs"
                " two); use a larger batch, drop the last one, or call model.eval()."
            )
        return super().forward(input)


def _squeeze(config: GhostNetConfig, channels: int) -> SqueezeExcite:
    thesis = config.form == "thesis"
    return SqueezeExcite(
        channels,
        reduced_channels=config.squeeze_channels(channels),
        form="linear" if thesis else "conv",
        activation=partial(nn.ReLU, inplace=True),
        gate=ClampGate if thesis else nn.Hardsigmoid,
        inplace=True,
    )


def _neck(config: GhostNetConfig) -> nn.Sequential:
    """From the pooled map to the vector before the classifier."""
    if config.form == "thesis":
        return nn.Sequential(
            Linear(config.feature_channels, config.out_channels, bias=False),
            VectorNorm(config.out_channels),
            nn.ReLU(inplace=True),
        )
    return nn.Sequential(Conv2d(config.feature_channels, config.out_channels, 1), nn.ReLU(inplace=True))
