"""GhostNetV3's architecture as data: GhostNetV2's, with parallel convolutions in training. No torch.

Source: arXiv 2404.11202, section 3.1, and the authors' code (`ghostnetv3_pytorch/ghostnetv3.py` of Huawei's
Efficient-AI-Backbones).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lightcars.models.config import Variant
from lightcars.models.ghost_config import ATTENTION_MIN_RESOLUTION, GhostTableConfig
from lightcars.models.validation import require_flag, require_int


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostNetV3Config(GhostTableConfig):
    """Everything that determines a GhostNetV3.

    Attributes:
        attention_from: index of the first bottleneck with attention; all later bottlenecks have it.
        branches: number of parallel convolutions that replace one in training.
        reparameterized: whether the branches are merged into one convolution; see `lightcars.reparameterize`.
        width, resolution, num_classes, img_channels, out_channels, dropout, drop_path, blocks: as in
            `GhostTableConfig`.
    """

    attention_from: int = 2
    branches: int = 3
    reparameterized: bool = False

    def __post_init__(self) -> None:
        GhostTableConfig.__post_init__(self)
        require_int("attention_from", self.attention_from, at_least=0)
        require_int("branches", self.branches, at_least=1)
        require_flag("reparameterized", self.reparameterized)

    @property
    def min_dynamic_resolution(self) -> int:
        """Smallest side of an exported graph of any size: there, no halved map has a side of one pixel."""
        return ATTENTION_MIN_RESOLUTION


VARIANTS: Mapping[str, Variant[GhostNetV3Config]] = MappingProxyType(
    {
        "050": Variant(GhostNetV3Config(width=0.5), 3_395_384, 117_528_000),
        "100": Variant(GhostNetV3Config(width=1.0), 8_129_028, 404_128_320),
        "130": Variant(GhostNetV3Config(width=1.3), 12_217_720, 654_842_824),
        "160": Variant(GhostNetV3Config(width=1.6), 17_275_700, 971_574_612),
    }
)
"""Counts are those of the training form."""
