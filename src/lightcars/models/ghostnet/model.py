"""GhostNet as a module, in both forms.

Paper: Han et al., "GhostNet: More Features from Cheap Operations", arXiv 1911.11907, table 1. Reference
implementations: Huawei's for the official form (timm's is the same), the 2020 GhostNet thesis's for its.
Deliberate difference: the official form's initial weights keep the variance of a map, where Huawei's code
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
    SqueezeExcite,
    initialize,
)
from lightcars.layers.eager import shape_of
from lightcars.layers.gradients import spatial_mean
from lightcars.layers.initialization import conv2d, fan_in, kaiming_fan_out, linear
from lightcars.models.ghostnet.config import GhostNetConfig
from lightcars.models.image_model import ImageModel


@final
class GhostNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: GhostNetConfig

    def __init__(self, config: GhostNetConfig) -> None:
        super().__init__()
        self.config = config
        style = _style(config)
        blocks = config.scaled_blocks()
        self.stem = ConvNormAct(
            config.img_channels, config.stem_channels, kernel_size=3, stride=2, style=style
        )
        inputs = [config.stem_channels, *(block.channels for block in blocks[:-1])]
        self.blocks = BlockSequence(
            *(
                GhostBottleneck(
                    in_channels,
                    block.hidden_channels,
                    block.channels,
                    kernel_size=block.kernel_size,
                    stride=block.stride,
                    squeeze_excite=partial(_squeeze, config) if block.squeeze else None,
                    drop_path=drop_path,
                    style=style,
                )
                for in_channels, block, drop_path in zip(inputs, blocks, config.drop_paths, strict=True)
            )
        )
        self.head = ConvNormAct(blocks[-1].channels, config.feature_channels, style=style)
        self.neck = _neck(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = self._make_classifier()

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=_style(self.config).initial)

    def forward(self, x: Tensor) -> Tensor:
        self._check(x)
        self._check_batch(x)
        return super().forward(x)

    def _check_batch(self, x: Tensor) -> None:
        trains_thesis = self.training and self.config.form == "thesis"
        if trains_thesis and (shape_of(x) or (0,))[0] == 1:
            raise InputError(
                "the thesis form of GhostNet cannot train on a batch of one image (its BatchNorm1d needs"
                " two); use a larger batch, drop the last one, or call model.eval()."
            )

    def forward_head(self, x: Tensor, *, pre_logits: bool = False) -> Tensor:
        """(N, feature_channels, h, w) -> (N, num_classes), or the (N, out_channels) vector before."""
        self._check_batch(x)
        vector: Tensor = self.neck(spatial_mean(x, keepdim=self.config.form == "official")).flatten(1)
        y: Tensor = vector if pre_logits else self.classifier(self.dropout(vector))
        return y


def _style(config: GhostNetConfig) -> ConvStyle:
    """Initial weights that keep the variance of a map, or those of the thesis's code."""
    return ConvStyle(activation=nn.ReLU, initial=kaiming_fan_out if config.form == "thesis" else fan_in)


def _squeeze(config: GhostNetConfig, channels: int) -> SqueezeExcite:
    thesis = config.form == "thesis"
    return SqueezeExcite(
        channels,
        reduced_channels=config.squeeze_channels(channels),
        form="linear" if thesis else "conv",
        activation=nn.ReLU,
        gate=ClampGate if thesis else nn.Hardsigmoid,
        initial=_style(config).initial,
    )


def _neck(config: GhostNetConfig) -> nn.Sequential:
    """From the pooled map to the vector before the classifier."""
    if config.form == "thesis":
        return nn.Sequential(
            linear(config.feature_channels, config.out_channels, bias=False),
            nn.BatchNorm1d(config.out_channels),
            nn.ReLU(),
        )
    return nn.Sequential(conv2d(config.feature_channels, config.out_channels, initial=fan_in), nn.ReLU())
