"""GhostNetV2's architecture as data: GhostNet's table with attention. No torch.

Source: arXiv 2211.12905, section 4.2 and table 3; the first two bottlenecks have no attention, as in the
authors' code (`ghostnetv2_pytorch/model/ghostnetv2_torch.py` of Huawei's Efficient-AI-Backbones).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lightcars.models.config import Variant
from lightcars.models.ghost_config import ATTENTION_MIN_RESOLUTION, GhostTableConfig
from lightcars.models.validation import require_int


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostNetV2Config(GhostTableConfig):
    """Everything that determines a GhostNetV2.

    Attributes:
        attention_from: index of the first bottleneck with attention; all later bottlenecks have it.
        width, resolution, num_classes, img_channels, out_channels, dropout, drop_path, blocks: as in
            `GhostTableConfig`.
    """

    attention_from: int = 2

    def __post_init__(self) -> None:
        GhostTableConfig.__post_init__(self)
        require_int("attention_from", self.attention_from, at_least=0)

    @property
    def min_dynamic_resolution(self) -> int:
        """Smallest side of an exported graph of any size: there, no halved map has a side of one pixel."""
        return ATTENTION_MIN_RESOLUTION


VARIANTS: Mapping[str, Variant[GhostNetV2Config]] = MappingProxyType(
    {
        "100": Variant(GhostNetV2Config(width=1.0), 6_156_908, 167_048_288),
        "130": Variant(GhostNetV2Config(width=1.3), 8_960_404, 269_322_976),
        "160": Variant(GhostNetV2Config(width=1.6), 12_392_698, 398_607_224),
    }
)
