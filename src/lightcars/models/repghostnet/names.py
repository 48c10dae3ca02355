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

    return official_layers(config, module=ghost_module)


NAMES = TensorNames(
    sources={"timm": Source(sign="conv_stem.weight", layers=_layers)},
    known=lambda _: ("timm",),
    title=lambda _: "RepGhostNet",
)
