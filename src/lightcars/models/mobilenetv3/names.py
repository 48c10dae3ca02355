"""MobileNetV3's layers under the names of timm and torchvision. No torch.

Sources: `timm/models/mobilenetv3.py` and `torchvision/models/mobilenetv3.py`. The layer behind the pooling is
a 1x1 convolution here and in timm, a linear layer in torchvision.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.mobilenetv3.config import MobileNetV3Config
from lightcars.models.tensor_names import (
    NATIVE,
    TENSORFLOW,
    TENSORFLOW_EPS,
    Source,
    TensorNames,
    conv_unit,
    stage_positions,
    timm_mbconv,
    torchvision_mbconv,
)


def _expands(config: MobileNetV3Config) -> list[bool]:
    """Whether each block expands."""
    inputs = zip(config.block_inputs, config.scaled_blocks(), strict=True)
    return [before != block.hidden_channels for before, block in inputs]


def _timm(config: MobileNetV3Config) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "conv_stem", "bn1")
    stages = stage_positions((block.channels, block.stride) for block in config.blocks)
    for position, (expands, (stage, repeat)) in enumerate(zip(_expands(config), stages, strict=True)):
        ours, theirs = f"blocks.{position}", f"blocks.{stage}.{repeat}"
        yield from timm_mbconv(ours, theirs, expands=expands, squeezes=config.blocks[position].squeeze)
    last = stages[-1][0] + 1
    yield from conv_unit("head", f"blocks.{last}.0.conv", f"blocks.{last}.0.bn1")
    yield "neck.0", "conv_head"
    yield "classifier", "classifier"


def _torchvision(config: MobileNetV3Config) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "features.0.0", "features.0.1")
    for position, expands in enumerate(_expands(config)):
        ours, theirs = f"blocks.{position}", f"features.{position + 1}.block"
        yield from torchvision_mbconv(ours, theirs, expands=expands, squeezes=config.blocks[position].squeeze)
    last = len(config.blocks) + 1
    yield from conv_unit("head", f"features.{last}.0", f"features.{last}.1")
    yield "neck.0", "classifier.0"
    yield "classifier", "classifier.3"


NAMES = TensorNames(
    sources={
        "timm": Source(sign="conv_stem.weight", layers=_timm, forms=lambda _: (NATIVE, TENSORFLOW)),
        "torchvision": Source(
            sign="features.1.block.0.0.weight",
            layers=_torchvision,
            forms=lambda _: (TENSORFLOW_EPS,),
            linears=("neck.0",),
        ),
    },
    known=lambda _: ("timm", "torchvision"),
    title=lambda _: "MobileNetV3",
)
