"""EfficientNet's layers under the names of timm, torchvision and lukemelas's EfficientNet-PyTorch. No torch.

Sources: `timm/models/efficientnet.py`, `torchvision/models/efficientnet.py` and
`efficientnet_pytorch/model.py` (0.7.1). All have the same layers; only the names differ.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.efficientnet.config import EfficientNetConfig
from lightcars.models.tensor_names import (
    NATIVE,
    TENSORFLOW,
    TENSORFLOW_EPS,
    Form,
    Source,
    TensorNames,
    conv_unit,
    timm_mbconv,
    torchvision_mbconv,
)

TENSORFLOW_EPS_DEPTH = 2.2
"""Depth of b5: from there on torchvision's batch norms have TensorFlow's eps, as in its accuracies."""


def _timm(config: EfficientNetConfig) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "conv_stem", "bn1")
    for position, block in enumerate(config.blocks()):
        ours, theirs = f"blocks.{position}", f"blocks.{block.stage}.{block.repeat}"
        squeezes = config.squeeze_reduction > 0
        yield from timm_mbconv(ours, theirs, expands=block.expand_ratio > 1, squeezes=squeezes)
    yield from conv_unit("head", "conv_head", "bn2")
    yield "classifier", "classifier"


def _torchvision(config: EfficientNetConfig) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "features.0.0", "features.0.1")
    for position, block in enumerate(config.blocks()):
        ours, theirs = f"blocks.{position}", f"features.{block.stage + 1}.{block.repeat}.block"
        yield from torchvision_mbconv(ours, theirs, expands=block.expand_ratio > 1, squeezes=True)
    last = len(config.stages) + 1
    yield from conv_unit("head", f"features.{last}.0", f"features.{last}.1")
    yield "classifier", "classifier.1"


def _lukemelas(config: EfficientNetConfig) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "_conv_stem", "_bn0")
    for position, block in enumerate(config.blocks()):
        ours, theirs = f"blocks.{position}", f"_blocks.{position}"
        if block.expand_ratio > 1:
            yield from conv_unit(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
        yield from conv_unit(f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
        yield f"{ours}.squeeze_excite.reduce", f"{theirs}._se_reduce"
        yield f"{ours}.squeeze_excite.expand", f"{theirs}._se_expand"
        yield from conv_unit(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
    yield from conv_unit("head", "_conv_head", "_bn1")
    yield "classifier", "_fc"


def _known(config: EfficientNetConfig) -> tuple[str, ...]:
    """torchvision has no EfficientNet-Lite; efficientnet_lite_pytorch has it with lukemelas's names."""
    is_lite = config.activation != "silu" or config.squeeze_reduction != 4 or config.fixed_ends
    return ("timm", "lukemelas") if is_lite else ("timm", "torchvision", "lukemelas")


def _torchvision_forms(config: EfficientNetConfig) -> tuple[Form, ...]:
    return (TENSORFLOW_EPS if config.depth >= TENSORFLOW_EPS_DEPTH else NATIVE,)


NAMES = TensorNames(
    sources={
        "timm": Source(sign="conv_stem.weight", layers=_timm, forms=lambda _: (NATIVE, TENSORFLOW)),
        "torchvision": Source(
            sign="features.1.0.block.0.0.weight", layers=_torchvision, forms=_torchvision_forms
        ),
        "lukemelas": Source(sign="_conv_stem.weight", layers=_lukemelas, forms=lambda _: (TENSORFLOW,)),
    },
    known=_known,
    title=lambda _: "EfficientNet",
)
