"""MobileNetV2's layers under the names of timm and torchvision. No torch.

Sources: `timm/models/efficientnet.py`, `_gen_mobilenet_v2`, and `torchvision/models/mobilenetv2.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.mobilenetv2.config import MobileNetV2Config
from lightcars.models.tensor_names import Source, TensorNames, conv_unit, timm_mbconv


def _timm(config: MobileNetV2Config) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "conv_stem", "bn1")
    for position, block in enumerate(config.blocks()):
        ours, theirs = f"blocks.{position}", f"blocks.{block.stage}.{block.repeat}"
        yield from timm_mbconv(ours, theirs, expands=block.expand_ratio > 1, squeezes=False)
    yield from conv_unit("head", "conv_head", "bn2")
    yield "classifier", "classifier"


def _torchvision(config: MobileNetV2Config) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "features.0.0", "features.0.1")
    for position, block in enumerate(config.blocks()):
        ours, theirs = f"blocks.{position}", f"features.{position + 1}.conv"
        expands = block.expand_ratio > 1
        if expands:
            yield from conv_unit(f"{ours}.expand", f"{theirs}.0.0", f"{theirs}.0.1")
        depthwise = int(expands)
        yield from conv_unit(f"{ours}.depthwise", f"{theirs}.{depthwise}.0", f"{theirs}.{depthwise}.1")
        yield from conv_unit(f"{ours}.project", f"{theirs}.{depthwise + 1}", f"{theirs}.{depthwise + 2}")
    last = len(config.blocks()) + 1
    yield from conv_unit("head", f"features.{last}.0", f"features.{last}.1")
    yield "classifier", "classifier.1"


NAMES = TensorNames(
    sources={
        "timm": Source(sign="conv_stem.weight", layers=_timm),
        "torchvision": Source(sign="features.1.conv.0.0.weight", layers=_torchvision),
    },
    known=lambda _: ("timm", "torchvision"),
    title=lambda _: "MobileNetV2",
)
