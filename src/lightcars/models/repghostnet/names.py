"""RepGhostNet's layers under timm's names, in both forms. No torch.

Source: `timm/models/repghost.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.ghost_names import official_layers
from lightcars.models.repghostnet.config import RepGhostNetConfig
from lightcars.models.tensor_names import Source, TensorNames, conv_unit


def _layers(config: RepGhostNetConfig) -> Iterator[tuple[str, str]]:
    def ghost_module(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
        yield from conv_unit(f"{ours}.0", f"{theirs}.primary_conv.0", f"{theirs}.primary_conv.1")
        if config.reparameterized:
            yield f"{ours}.1.conv", f"{theirs}.cheap_operation"
            return
        cheap = f"{theirs}.cheap_operation"
        yield from conv_unit(f"{ours}.1.convs.0", f"{cheap}.0", f"{cheap}.1")
        yield f"{ours}.1.skip", f"{theirs}.fusion_bn.0"

    def inside(position: int, ours: str, theirs: str) -> Iterator[tuple[str, str]]:
        yield from ghost_module(f"{ours}.expand", f"{theirs}.ghost1")
        if config.blocks[position].stride > 1:
            yield from conv_unit(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.bn_dw")
        yield from ghost_module(f"{ours}.project", f"{theirs}.ghost2")

    return official_layers(config, inside)


NAMES = TensorNames(
    sources={"timm": Source(sign="conv_stem.weight", layers=_layers)},
    known=lambda _: ("timm",),
    title=lambda _: "RepGhostNet",
)
