"""GhostNetV3's layers under timm's names, in both forms. No torch.

Source: `timm/models/ghostnet.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.ghost_names import official_layers
from lightcars.models.ghostnetv3.config import GhostNetV3Config
from lightcars.models.tensor_names import Source, TensorNames, conv_unit


def _layers(config: GhostNetV3Config) -> Iterator[tuple[str, str]]:
    def unit(ours: str, theirs: str, merged: str, *extras: str) -> Iterator[tuple[str, str]]:
        if config.reparameterized:
            yield f"{ours}.conv", merged
            return
        for index in range(config.branches):
            branch = f"{theirs}_conv.{index}"
            yield from conv_unit(f"{ours}.convs.{index}", f"{branch}.conv", f"{branch}.bn1")
        if "scale" in extras:
            yield from conv_unit(f"{ours}.scale", f"{theirs}_scale.conv", f"{theirs}_scale.bn1")
        if "skip" in extras:
            yield f"{ours}.skip", f"{theirs}_skip"

    def ghost_module(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
        yield from unit(f"{ours}.primary", f"{theirs}.primary_rpr", f"{theirs}.primary_conv.0")
        cheap = f"{theirs}.cheap_rpr", f"{theirs}.cheap_operation.0"
        yield from unit(f"{ours}.cheap", *cheap, "scale", "skip")

    def depthwise(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
        yield from unit(f"{ours}.depthwise", f"{theirs}.dw_rpr", f"{theirs}.conv_dw", "scale")

    attention_from = config.attention_from
    return official_layers(config, module=ghost_module, depthwise=depthwise, attention_from=attention_from)


NAMES = TensorNames(
    sources={"timm": Source(sign="conv_stem.weight", layers=_layers)},
    known=lambda _: ("timm",),
    title=lambda _: "GhostNetV3",
)
