"""SqueezeNext's layers under the names of pytorchcv and of luuuyi's SqueezeNext.PyTorch. No torch.

Sources: `pytorchcv/models/squeezenext.py` (0.0.74) and luuuyi/SqueezeNext.PyTorch, the code that the 2020
GhostNet thesis used. The authors' own release is for Caffe.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from lightcars.models.squeezenext.config import SqueezeNextConfig
from lightcars.models.tensor_names import Form, Source, TensorNames, conv_unit

PARTS = ("squeeze1", "squeeze2", "horizontal", "vertical", "expand")
"""Our names of conv1 to conv5 of both."""

UNPADDED = Form(title="the authors' unpadded stem", settings=MappingProxyType({"stem_padding": 0}))
PADDED = Form(title="pytorchcv's padded stem", settings=MappingProxyType({"stem_padding": 1}))


def _units(config: SqueezeNextConfig) -> Iterator[tuple[str, int, int, bool]]:
    """Our prefix, stage and position in it, both from 1 on, and whether the shortcut is a convolution."""
    position, channels = 0, config.block_channels
    for stage, repeats in enumerate(config.stage_repeats, 1):
        for unit in range(1, repeats + 1):
            position += 1  # block 0 is the pooling
            resized = config.block_strides[position] > 1 or channels[position - 1] != channels[position]
            yield f"blocks.{position}", stage, unit, resized


def _pytorchcv(config: SqueezeNextConfig) -> Iterator[tuple[str, str]]:
    def unit(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
        return conv_unit(ours, f"{theirs}.conv", f"{theirs}.bn")

    yield from unit("stem", "features.init_block.conv")
    for ours, stage, position, resized in _units(config):
        theirs = f"features.stage{stage}.unit{position}"
        for number, part in enumerate(PARTS, 1):
            yield from unit(f"{ours}.{part}", f"{theirs}.conv{number}")
        if resized:
            yield from unit(f"{ours}.shortcut", f"{theirs}.identity_conv")
    yield from unit("head", "features.final_block")
    yield "classifier", "output"


def _luuuyi(config: SqueezeNextConfig) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "conv1", "bn1")
    for ours, stage, position, resized in _units(config):
        theirs = f"stage{stage}.{position - 1}"
        for number, part in enumerate(PARTS, 1):
            yield from conv_unit(f"{ours}.{part}", f"{theirs}.conv{number}", f"{theirs}.bn{number}")
        if resized:
            yield from conv_unit(f"{ours}.shortcut", f"{theirs}.shortcut.0", f"{theirs}.shortcut.1")
    yield from conv_unit("head", "conv2", "bn2")
    yield "classifier", "linear"


NAMES = TensorNames(
    sources={
        "luuuyi": Source(sign="stage1.0.conv5.weight", layers=_luuuyi, forms=lambda _: (UNPADDED,)),
        "pytorchcv": Source(
            sign="features.stage1.unit1.conv3.conv.weight", layers=_pytorchcv, forms=lambda _: (PADDED,)
        ),
    },
    known=lambda _: ("luuuyi", "pytorchcv"),
    title=lambda _: "SqueezeNext",
)
