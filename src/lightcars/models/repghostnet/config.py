"""RepGhostNet's architecture as data: its table, half as wide inside as GhostNet's. No torch.

Source: arXiv 2211.06088, table 2, and the authors' code (`model/repghost.py` of
ChengpengChen/RepGhost).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from lightcars.models.config import Variant
from lightcars.models.ghost_config import BASE_BLOCKS as GHOST_BLOCKS
from lightcars.models.ghost_config import CHANNEL_DIVISOR, GhostBlock, GhostTableConfig
from lightcars.models.scaling import round_channels
from lightcars.models.validation import require_flag

HIDDEN_CHANNELS = (8, 24, 36, 36, 60, 120, 100, 120, 120, 240, 336, 336, 480, 480, 480, 480)
BASE_BLOCKS: tuple[GhostBlock, ...] = tuple(
    replace(block, hidden_channels=hidden)
    for block, hidden in zip(GHOST_BLOCKS, HIDDEN_CHANNELS, strict=True)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepGhostNetConfig(GhostTableConfig):
    """Everything that determines a RepGhostNet.

    Attributes:
        reparameterized: whether the parallel branches are merged; see `lightcars.reparameterize`.
        width, resolution, num_classes, img_channels, out_channels, dropout, drop_path, blocks: as in
            `GhostTableConfig`.
    """

    blocks: tuple[GhostBlock, ...] = BASE_BLOCKS
    reparameterized: bool = False

    def __post_init__(self) -> None:
        GhostTableConfig.__post_init__(self)
        require_flag("reparameterized", self.reparameterized)

    @property
    def feature_channels(self) -> int:
        """Channels of the last map: twice as many as the last block has inside."""
        return round_channels(2 * self.blocks[-1].hidden_channels * self.width, CHANNEL_DIVISOR)


VARIANTS: Mapping[str, Variant[RepGhostNetConfig]] = MappingProxyType(
    {
        "050": Variant(RepGhostNetConfig(width=0.5), 2_313_968, 43_314_720),
        "058": Variant(RepGhostNetConfig(width=0.58), 2_546_388, 59_804_016),
        "080": Variant(RepGhostNetConfig(width=0.8), 3_278_968, 95_518_948),
        "100": Variant(RepGhostNetConfig(width=1.0), 4_073_604, 142_394_128),
        "111": Variant(RepGhostNetConfig(width=1.11), 4_539_984, 170_124_224),
        "130": Variant(RepGhostNetConfig(width=1.3), 5_478_612, 231_123_652),
        "150": Variant(RepGhostNetConfig(width=1.5), 6_575_336, 301_315_856),
        "200": Variant(RepGhostNetConfig(width=2.0), 9_796_124, 515_869_856),
    }
)
"""Counts are those of the training form."""
