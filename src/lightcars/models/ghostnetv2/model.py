"""GhostNetV2 as a module.

Paper: Tang et al., "GhostNetV2: Enhance Cheap Operation with Long-Range Attention", arXiv 2211.12905.
Reference implementation: Huawei's; timm's is the same. Deliberate differences: initial weights
keep the variance of a map, and maps of one pixel, which the reference cannot halve, are taken as they are.
"""

from __future__ import annotations

from functools import partial
from typing import final

from torch import nn

from lightcars.layers import AttentiveGhostModule, GhostBottleneck, GhostParts, initialize
from lightcars.layers.initialization import fan_in
from lightcars.models.ghost_parts import official_parts
from lightcars.models.ghostnetv2.config import GhostNetV2Config
from lightcars.models.image_model import ImageModel


@final
class GhostNetV2(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: GhostNetV2Config

    def __init__(self, config: GhostNetV2Config) -> None:
        plain = [GhostBottleneck] * config.attention_from
        attentive = partial(GhostBottleneck, parts=GhostParts(expand=AttentiveGhostModule))
        super().__init__(config, **official_parts(config, *plain, attentive))

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=fan_in)
