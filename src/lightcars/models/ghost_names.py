"""Names of the layers of GhostNet and its successors in Huawei's releases, which are timm's. No torch.

Sources: `ghostnet_pytorch/ghostnet.py` and `ghostnetv2_pytorch/model/ghostnetv2_torch.py` of Huawei's
Efficient-AI-Backbones, `timm/models/ghostnet.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from lightcars.models.ghost_config import GhostTableConfig
from lightcars.models.tensor_names import conv_unit

Layers: TypeAlias = Callable[[str, str], Iterator[tuple[str, str]]]
"""Our prefix and theirs -> the names of layers, ours and theirs."""


def _stages_of(config: GhostTableConfig) -> list[tuple[int, int]]:
    """Stage and position in it of every block: a strided block is a stage of its own."""
    positions: list[tuple[int, int]] = []
    before = 0
    for stride in config.block_strides:
        if not positions:
            positions.append((0, 0))
        elif stride > 1 or before > 1:
            positions.append((positions[-1][0] + 1, 0))
        else:
            positions.append((positions[-1][0], positions[-1][1] + 1))
        before = stride
    return positions


def ghost_module(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    """Yield the two convolutions of a ghost module."""
    yield from conv_unit(f"{ours}.primary", f"{theirs}.primary_conv.0", f"{theirs}.primary_conv.1")
    yield from conv_unit(f"{ours}.cheap", f"{theirs}.cheap_operation.0", f"{theirs}.cheap_operation.1")


def has_shortcut(config: GhostTableConfig, position: int) -> bool:
    """Return whether the shortcut of a bottleneck has layers."""
    channels = (config.stem_channels, *config.block_channels)
    return config.block_strides[position] > 1 or channels[position] != channels[position + 1]


def _attention(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    """Yield the three convolutions of the attention."""
    for index in range(3):
        yield from conv_unit(
            f"{ours}.attention.{index}",
            f"{theirs}.short_conv.{2 * index}",
            f"{theirs}.short_conv.{2 * index + 1}",
        )


def _depthwise(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    yield from conv_unit(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.bn_dw")


def official_layers(
    config: GhostTableConfig,
    *,
    module: Layers = ghost_module,
    depthwise: Layers = _depthwise,
    attention_from: int | None = None,
) -> Iterator[tuple[str, str]]:
    """Yield the layers of a network in the official form.

    Args:
        config: its table.
        module: our prefix and theirs -> the layers of a ghost module.
        depthwise: prefixes of a bottleneck -> the layers of its strided convolution.
        attention_from: position of the first bottleneck whose expansion has attention.
    """
    yield from conv_unit("stem", "conv_stem", "bn1")
    stages = _stages_of(config)
    for position, (stage, repeat) in enumerate(stages):
        ours, theirs = f"blocks.{position}", f"blocks.{stage}.{repeat}"
        attends = attention_from is not None and position >= attention_from
        yield from module(f"{ours}.expand.ghost" if attends else f"{ours}.expand", f"{theirs}.ghost1")
        if attends:
            yield from _attention(f"{ours}.expand", f"{theirs}.ghost1")
        if config.blocks[position].stride > 1:
            yield from depthwise(ours, theirs)
        if config.blocks[position].squeeze:
            yield f"{ours}.squeeze_excite.reduce", f"{theirs}.se.conv_reduce"
            yield f"{ours}.squeeze_excite.expand", f"{theirs}.se.conv_expand"
        yield from module(f"{ours}.project", f"{theirs}.ghost2")
        if has_shortcut(config, position):
            yield from conv_unit(f"{ours}.shortcut.0", f"{theirs}.shortcut.0", f"{theirs}.shortcut.1")
            yield from conv_unit(f"{ours}.shortcut.1", f"{theirs}.shortcut.2", f"{theirs}.shortcut.3")
    last = stages[-1][0] + 1
    yield from conv_unit("head", f"blocks.{last}.0.conv", f"blocks.{last}.0.bn1")
    yield "neck.0", "conv_head"
    yield "classifier", "classifier"
