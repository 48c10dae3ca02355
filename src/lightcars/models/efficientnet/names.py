"""EfficientNet's layers under the names of timm, torchvision and lukemelas's EfficientNet-PyTorch. No torch.

Sources: `timm/models/efficientnet.py`, `torchvision/models/efficientnet.py` and
`efficientnet_pytorch/model.py` (0.7.1). All have the same layers; only the names differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from lightcars.models.efficientnet.config import EfficientNetConfig
from lightcars.models.tensor_names import NATIVE, TENSORFLOW, Form, Source, TensorNames, conv_unit

TENSORFLOW_EPS = Form(
    title="TensorFlow's batch norms with symmetric padding",
    settings=MappingProxyType({"padding": "symmetric", "batch_norm_eps": 1e-3, "batch_norm_momentum": 0.01}),
)
TENSORFLOW_EPS_DEPTH = 2.2
"""Depth of b5: from there on torchvision's batch norms have TensorFlow's eps, as in its accuracies."""


def _blocks(config: EfficientNetConfig) -> Iterator[tuple[str, int, int, bool]]:
    """Our prefix, stage, position in the stage, and whether the block expands."""
    position = 0
    for stage, row in enumerate(config.stages):
        for repeat in range(config.stage_repeats[stage]):
            yield f"blocks.{position}", stage, repeat, row.expand_ratio > 1
            position += 1


def _timm(config: EfficientNetConfig) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "conv_stem", "bn1")
    for ours, stage, repeat, expands in _blocks(config):
        theirs = f"blocks.{stage}.{repeat}"
        if expands:
            yield from conv_unit(f"{ours}.expand", f"{theirs}.conv_pw", f"{theirs}.bn1")
        norms = ("bn2", "bn3") if expands else ("bn1", "bn2")
        yield from conv_unit(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.{norms[0]}")
        if config.squeeze_reduction:
            yield f"{ours}.squeeze_excite.reduce", f"{theirs}.se.conv_reduce"
            yield f"{ours}.squeeze_excite.expand", f"{theirs}.se.conv_expand"
        project = "conv_pwl" if expands else "conv_pw"
        yield from conv_unit(f"{ours}.project", f"{theirs}.{project}", f"{theirs}.{norms[1]}")
    yield from conv_unit("head", "conv_head", "bn2")
    yield "classifier", "classifier"


def _torchvision(config: EfficientNetConfig) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "features.0.0", "features.0.1")
    for ours, stage, repeat, expands in _blocks(config):
        theirs = f"features.{stage + 1}.{repeat}.block"
        if expands:
            yield from conv_unit(f"{ours}.expand", f"{theirs}.0.0", f"{theirs}.0.1")
        depthwise = int(expands)
        yield from conv_unit(f"{ours}.depthwise", f"{theirs}.{depthwise}.0", f"{theirs}.{depthwise}.1")
        yield f"{ours}.squeeze_excite.reduce", f"{theirs}.{depthwise + 1}.fc1"
        yield f"{ours}.squeeze_excite.expand", f"{theirs}.{depthwise + 1}.fc2"
        yield from conv_unit(f"{ours}.project", f"{theirs}.{depthwise + 2}.0", f"{theirs}.{depthwise + 2}.1")
    last = len(config.stages) + 1
    yield from conv_unit("head", f"features.{last}.0", f"features.{last}.1")
    yield "classifier", "classifier.1"


def _lukemelas(config: EfficientNetConfig) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "_conv_stem", "_bn0")
    for ours, _, _, expands in _blocks(config):
        theirs = f"_{ours}"
        if expands:
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
