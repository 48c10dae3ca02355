"""EfficientNetV2's layers under the names of timm and torchvision. No torch.

Sources: `timm/models/efficientnet.py` and `torchvision/models/efficientnet.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from lightcars.models.efficientnetv2.config import EfficientNetV2Config, Stage
from lightcars.models.tensor_names import (
    NATIVE,
    TENSORFLOW,
    Form,
    Source,
    TensorNames,
    conv_unit,
    timm_mbconv,
)

TORCHVISION = Form(
    title="torchvision's form (eps of 1e-3, symmetric padding)",
    settings=MappingProxyType({"padding": "symmetric", "batch_norm_eps": 1e-3, "batch_norm_momentum": 0.1}),
)
TORCHVISIONS_STEMS = (24, 32)
TORCHVISIONS_STAGES = (6, 7)


def _blocks(config: EfficientNetV2Config) -> Iterator[tuple[str, int, int, Stage]]:
    """Our prefix, stage, position in the stage, and the row of the stage."""
    position = 0
    for stage, (row, repeats) in enumerate(zip(config.stages, config.stage_repeats, strict=True)):
        for repeat in range(repeats):
            yield f"blocks.{position}", stage, repeat, row
            position += 1


def _timm(config: EfficientNetV2Config) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "conv_stem", "bn1")
    for ours, stage, repeat, row in _blocks(config):
        theirs = f"blocks.{stage}.{repeat}"
        if row.fused and row.expand_ratio == 1:
            yield from conv_unit(f"{ours}.expand", f"{theirs}.conv", f"{theirs}.bn1")
        elif row.fused:
            yield from conv_unit(f"{ours}.expand", f"{theirs}.conv_exp", f"{theirs}.bn1")
            yield from conv_unit(f"{ours}.project", f"{theirs}.conv_pwl", f"{theirs}.bn2")
        else:
            yield from timm_mbconv(ours, theirs, expands=row.expand_ratio > 1, squeezes=True)
    yield from conv_unit("head", "conv_head", "bn2")
    yield "classifier", "classifier"


def _torchvision(config: EfficientNetV2Config) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "features.0.0", "features.0.1")
    for ours, stage, repeat, row in _blocks(config):
        theirs = f"features.{stage + 1}.{repeat}.block"
        units = ["expand"] if row.expand_ratio > 1 or row.fused else []
        units += [] if row.fused else ["depthwise", "squeeze_excite"]
        units += [] if row.fused and row.expand_ratio == 1 else ["project"]
        for index, unit in enumerate(units):
            if unit == "squeeze_excite":
                yield f"{ours}.{unit}.reduce", f"{theirs}.{index}.fc1"
                yield f"{ours}.{unit}.expand", f"{theirs}.{index}.fc2"
            else:
                yield from conv_unit(f"{ours}.{unit}", f"{theirs}.{index}.0", f"{theirs}.{index}.1")
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
