"""GhostNet as a module, in both forms.

Paper: Han et al., "GhostNet: More Features from Cheap Operations", arXiv 1911.11907, table 1. Reference
implementations: Huawei's for the official form (timm's is the same), the 2020 GhostNet thesis's for its.
Deliberate difference: the official form's initial weights keep the variance of a map, where Huawei's code
takes PyTorch's defaults; the thesis form starts as the thesis's code does.
"""

from __future__ import annotations

from typing import final

from torch import nn

from lightcars.layers import (
    ClampGate,
    ConvStyle,
    GhostBottleneck,
    GlobalAveragePool,
    SqueezeExcite,
    initialize,
)
from lightcars.layers.initialization import fan_in, kaiming_fan_out, linear
from lightcars.models.ghost_parts import Parts, backbone, official_parts
from lightcars.models.ghostnet.config import GhostNetConfig
from lightcars.models.image_model import ImageModel


@final
class GhostNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: GhostNetConfig

    def __init__(self, config: GhostNetConfig) -> None:
        if config.form == "official":
            super().__init__(config, **official_parts(config, GhostBottleneck))
        else:
            super().__init__(config, **_thesis_parts(config))

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=kaiming_fan_out if self.config.form == "thesis" else fan_in)


def _thesis_parts(config: GhostNetConfig) -> Parts:
    """As the thesis's code: its initial weights, its squeeze and its neck."""
    style = ConvStyle(activation=nn.ReLU, initial=kaiming_fan_out)

    def squeeze(channels: int) -> SqueezeExcite:
        return SqueezeExcite(
            channels,
            reduced_channels=config.squeeze_channels(channels),
            form="linear",
            activation=nn.ReLU,
            gate=ClampGate,
            initial=style.initial,
        )

    neck = nn.Sequential(
        linear(config.feature_channels, config.out_channels, bias=False),
        nn.BatchNorm1d(config.out_channels),
        nn.ReLU(),
    )
    return Parts(**backbone(config, style, squeeze, (GhostBottleneck,)), pool=GlobalAveragePool(), neck=neck)
