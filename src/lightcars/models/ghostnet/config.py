"""GhostNet's architecture as data: its two forms. No torch.

Source: arXiv 1911.11907, table 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from lightcars.models.config import CommonChanges, Variant
from lightcars.models.ghost_config import SQUEEZE_REDUCTION, GhostBlock, GhostTableConfig
from lightcars.models.validation import require_one_of

Form = Literal["official", "thesis"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostNetConfig(GhostTableConfig):
    """Everything that determines a GhostNet.

    Attributes:
        form: "official" is Huawei's and timm's: squeeze by 1x1 convolutions with a hard sigmoid and a
            width rounded to 4; a head of pooling, 1x1 convolution with bias and ReLU. "thesis" is the first
            release's, used by the 2020 thesis: squeeze by linear layers, a quarter wide, clamped to
            [0, 1]; a head of linear layer without bias, BatchNorm1d and ReLU. Their weights do not fit
            each other.
        width, resolution, num_classes, img_channels, out_channels, dropout, drop_path, blocks: as in
            `GhostTableConfig`.
    """

    form: Form = "official"

    def __post_init__(self) -> None:
        GhostTableConfig.__post_init__(self)
        require_one_of("form", self.form, ("official", "thesis"))

    def squeeze_channels(self, channels: int) -> int:
        """Hidden width of the squeeze over `channels` channels in this form."""
        if self.form == "thesis":
            return channels // SQUEEZE_REDUCTION
        return GhostTableConfig.squeeze_channels(self, channels)


class GhostNetChanges(CommonChanges, total=False):
    """Fields of `GhostNetConfig` as keyword arguments."""

    form: Form
    blocks: tuple[GhostBlock, ...]


VARIANTS: Mapping[str, Variant[GhostNetConfig]] = MappingProxyType(
    {
        "050": Variant(GhostNetConfig(width=0.5), 2_587_292, 42_328_152),
        "100": Variant(GhostNetConfig(width=1.0), 5_182_508, 141_150_512),
        "130": Variant(GhostNetConfig(width=1.3), 7_358_820, 227_003_256),
        "thesis": Variant(GhostNetConfig(form="thesis"), 5_183_016, 141_149_744),
    }
)
