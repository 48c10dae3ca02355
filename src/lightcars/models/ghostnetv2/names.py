"""GhostNetV2's layers under the names of Huawei's release, which are timm's. No torch.

Sources: `ghostnetv2_pytorch/model/ghostnetv2_torch.py` of Huawei's Efficient-AI-Backbones,
`timm/models/ghostnet.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.ghost_names import official_layers
from lightcars.models.ghostnetv2.config import GhostNetV2Config
from lightcars.models.tensor_names import Source, TensorNames


def _layers(config: GhostNetV2Config) -> Iterator[tuple[str, str]]:
    return official_layers(config, attention_from=config.attention_from)


NAMES = TensorNames(
    sources={"timm": Source(sign="conv_stem.weight", layers=_layers)},
    known=lambda _: ("timm",),
    title=lambda _: "GhostNetV2",
)
