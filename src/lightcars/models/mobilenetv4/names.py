"""MobileNetV4's layers under the names of timm. No torch.

Source: `timm/models/mobilenetv3.py`, `_gen_mobilenet_v4`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.mobilenetv4.config import MobileNetV4Block, MobileNetV4Config
from lightcars.models.tensor_names import Source, TensorNames, conv_unit, stage_positions


def _timm(config: MobileNetV4Config) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "conv_stem", "bn1")
    stages = stage_positions((0, block.stride) for block in config.blocks)  # only a stride begins a stage
    for position, (block, (stage, repeat)) in enumerate(zip(config.blocks, stages, strict=True)):
        yield from _block(block, f"blocks.{position}", f"blocks.{stage}.{repeat}")
    last = stages[-1][0] + 1
    yield from conv_unit("head", f"blocks.{last}.0.conv", f"blocks.{last}.0.bn1")
    yield "neck.0", "conv_head"
    yield "neck.1", "norm_head"
    yield "classifier", "classifier"


def _block(block: MobileNetV4Block, ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    if block.kind == "conv":
        yield from conv_unit(ours, f"{theirs}.conv", f"{theirs}.bn1")
        return
    if block.kind == "fused":
        yield from conv_unit(f"{ours}.expand", f"{theirs}.conv_exp", f"{theirs}.bn1")
        yield from conv_unit(f"{ours}.project", f"{theirs}.conv_pwl", f"{theirs}.bn2")
        return
    parts = {"start": "dw_start"} if block.start_kernel_size else {}
    parts["expand"] = "pw_exp"
    if block.kernel_size:
        parts["depthwise"] = "dw_mid"
    parts["project"] = "pw_proj"
    for part, name in parts.items():
        yield from conv_unit(f"{ours}.{part}", f"{theirs}.{name}.conv", f"{theirs}.{name}.bn")


NAMES = TensorNames(
    sources={"timm": Source(sign="conv_stem.weight", layers=_timm)},
    known=lambda _: ("timm",),
    title=lambda _: "MobileNetV4",
)
