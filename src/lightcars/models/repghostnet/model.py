"""RepGhostNet as a module, in its training form and with its branches merged.

Paper: Chen et al., "RepGhost: A Hardware-Efficient Ghost Module via Re-parameterization", arXiv 2211.06088.
Reference implementation: the authors'; timm's is the same. Deliberate difference: initial weights keep the
variance of a map.
"""

from __future__ import annotations

from functools import partial
from typing import final

from torch import nn

from lightcars.layers import BranchedConv, ConvNormAct, ConvStyle, GhostBottleneck, GhostParts, initialize
from lightcars.layers.branched_conv import merged_unit
from lightcars.layers.initialization import fan_in
from lightcars.models.ghost_parts import official_parts
from lightcars.models.image_model import ImageModel
from lightcars.models.repghostnet.config import RepGhostNetConfig


@final
class RepGhostNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: RepGhostNetConfig

    def __init__(self, config: RepGhostNetConfig) -> None:
        ghost = partial(_rep_ghost_module, config.reparameterized)
        parts = GhostParts(expand=ghost, project=ghost)
        super().__init__(config, **official_parts(config, partial(GhostBottleneck, parts=parts)))

    def initialize_layers(self, module: nn.Module) -> None:
        initialize(module, initial=fan_in)


def _rep_ghost_module(
    reparameterized: bool, in_channels: int, out_channels: int, *, style: ConvStyle
) -> nn.Sequential:
    """RepGhost module: a 1x1 convolution, then a depthwise one to which its input is added (figure 3 d)."""
    unit = merged_unit if reparameterized else partial(BranchedConv, branches=1, scale=False)
    return nn.Sequential(
        ConvNormAct(in_channels, out_channels, style=style),
        unit(out_channels, out_channels, kernel_size=3, groups=out_channels, style=style),
    )
