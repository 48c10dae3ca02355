"""GhostNetV2's layers under the names of Huawei's release, which are timm's. No torch.

Sources: `ghostnetv2_pytorch/model/ghostnetv2_torch.py` of Huawei's Efficient-AI-Backbones,
`timm/models/ghostnet.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.ghost_names import attention, ghost_module, official_layers
from lightcars.models.ghostnetv2.config import GhostNetV2Config
from lightcars.models.tensor_names import Source, TensorNames, conv_unit


def _layers(config: GhostNetV2Config) -> Iterator[tuple[str, str]]:
    def inside(position: int, ours: str, theirs: str) -> Iterator[tuple[str, str]]:
        if position >= config.attention_from:
            yield from ghost_module(f"{ours}.expand.ghost", f"{theirs}.ghost1")
            yield from attention(f"{ours}.expand", f"{theirs}.ghost1")
        else:
            yield from ghost_module(f"{ours}.expand", f"{theirs}.ghost1")
        if config.blocks[position].stride > 1:
            yield from conv_unit(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.bn_dw")
        yield from ghost_module(f"{ours}.project", f"{theirs}.ghost2")

    return official_layers(config, inside)


NAMES = TensorNames(
    sources={"timm": Source(sign="conv_stem.weight", layers=_layers)},
    known=lambda _: ("timm",),
    title=lambda _: "GhostNetV2",
)
