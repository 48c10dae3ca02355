"""MobileNetV1's layers under the names of timm. No torch.

Source: `timm/models/efficientnet.py`, `_gen_mobilenet_v1`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.mobilenetv1.config import MobileNetV1Config
from lightcars.models.tensor_names import Source, TensorNames, conv_unit, stage_positions


def _timm(config: MobileNetV1Config) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "conv_stem", "bn1")
    blocks = stage_positions((block.channels, block.stride) for block in config.blocks)
    for position, (stage, repeat) in enumerate(blocks):
        ours, theirs = f"blocks.{position}", f"blocks.{stage}.{repeat}"
        yield from conv_unit(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.bn1")
        yield from conv_unit(f"{ours}.pointwise", f"{theirs}.conv_pw", f"{theirs}.bn2")
    yield "classifier", "classifier"


NAMES = TensorNames(
    sources={"timm": Source(sign="conv_stem.weight", layers=_timm)},
    known=lambda _: ("timm",),
    title=lambda _: "MobileNetV1",
)
