"""EfficientNetV2's layers under the names of timm and torchvision. No torch.

Sources: `timm/models/efficientnet.py` and `torchvision/models/efficientnet.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from lightcars.models.efficientnetv2.config import EfficientNetV2Config
from lightcars.models.tensor_names import (
    NATIVE,
    TENSORFLOW,
    Form,
    Source,
    TensorNames,
    conv_unit,
    timm_mbconv,
    torchvision_mbconv,
)

TORCHVISION = Form(
    title="torchvision's form (eps of 1e-3, symmetric padding)",
    settings=MappingProxyType({"padding": "symmetric", "batch_norm_eps": 1e-3, "batch_norm_momentum": 0.1}),
)


def _timm(config: EfficientNetV2Config) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "conv_stem", "bn1")
    for position, block in enumerate(config.blocks()):
        ours, theirs = f"blocks.{position}", f"blocks.{block.stage}.{block.repeat}"
        expands = block.expand_ratio > 1
        if not config.stages[block.stage].fused:
            yield from timm_mbconv(ours, theirs, expands=expands, squeezes=True)
        elif expands:
            yield from conv_unit(f"{ours}.expand", f"{theirs}.conv_exp", f"{theirs}.bn1")
            yield from conv_unit(f"{ours}.project", f"{theirs}.conv_pwl", f"{theirs}.bn2")
        else:
            yield from conv_unit(f"{ours}.expand", f"{theirs}.conv", f"{theirs}.bn1")
    yield from conv_unit("head", "conv_head", "bn2")
    yield "classifier", "classifier"


def _torchvision(config: EfficientNetV2Config) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "features.0.0", "features.0.1")
    for position, block in enumerate(config.blocks()):
        ours, theirs = f"blocks.{position}", f"features.{block.stage + 1}.{block.repeat}.block"
        expands = block.expand_ratio > 1
        if not config.stages[block.stage].fused:
            yield from torchvision_mbconv(ours, theirs, expands=expands, squeezes=True)
            continue
        yield from conv_unit(f"{ours}.expand", f"{theirs}.0.0", f"{theirs}.0.1")
        if expands:
            yield from conv_unit(f"{ours}.project", f"{theirs}.1.0", f"{theirs}.1.1")
    last = len(config.stages) + 1
    yield from conv_unit("head", f"features.{last}.0", f"features.{last}.1")
    yield "classifier", "classifier.1"


NAMES = TensorNames(
    sources={
        "timm": Source(sign="conv_stem.weight", layers=_timm, forms=lambda _: (NATIVE, TENSORFLOW)),
        "torchvision": Source(
            sign="features.1.0.block.0.0.weight", layers=_torchvision, forms=lambda _: (TORCHVISION,)
        ),
    },
    known=lambda _: ("timm", "torchvision"),
    title=lambda _: "EfficientNetV2",
)
