"""GhostNetV3 as a module, in its training form and with its branches merged.

Paper: Liu et al., "GhostNetV3: Exploring the Training Strategies for Compact Models", arXiv 2404.11202.
Reference implementation: Huawei's; timm's is the same. Deliberate differences: initial weights
keep the variance of a map, and maps of one pixel, which the reference cannot halve, are taken as they are.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import final

from torch import nn

from lightcars.layers import (
    AttentiveGhostModule,
    BranchedConv,
    GhostBottleneck,
    GhostModule,
    GhostParts,
    initialize,
)
from lightcars.layers.branched_conv import merged_unit
from lightcars.layers.initialization import fan_in
from lightcars.models.ghost_parts import official_parts
from lightcars.models.ghostnetv3.config import GhostNetV3Config
from lightcars.models.image_model import ImageModel


@final
class GhostNetV3(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: GhostNetV3Config

    def __init__(self, config: GhostNetV3Config) -> None:
        unit = merged_unit if config.reparameterized else partial(BranchedConv, branches=config.branches)
        ghost = partial(GhostModule, unit=unit)
        parts = GhostParts(expand=ghost, project=ghost, unit=unit)
        attentive = replace(parts, expand=partial(AttentiveGhostModule, ghost=ghost))
        bottlenecks = [parts] * config.attention_from + [attentive]
        made = (partial(GhostBottleneck, parts=parts) for parts in bottlenecks)
        super().__init__(config, **official_parts(config, *made))

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=fan_in)
