"""Names of the layers of GhostNet and its successors in Huawei's releases, which are timm's. No torch.

Sources: `ghostnet_pytorch/ghostnet.py` and `ghostnetv2_pytorch/model/ghostnetv2_torch.py` of Huawei's
Efficient-AI-Backbones, `timm/models/ghostnet.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lightcars.models.ghost_config import GhostTableConfig
from lightcars.models.tensor_names import conv_unit


def stages_of(config: GhostTableConfig) -> list[tuple[int, int]]:
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


def official_layers(
    config: GhostTableConfig, inside: Callable[[int, str, str], Iterator[tuple[str, str]]]
) -> Iterator[tuple[str, str]]:
    """Yield the layers of a network in the official form.

    Args:
        config: its table.
        inside: position, our prefix, their prefix -> the layers of a bottleneck's ghost modules and of its
            depthwise convolution.
    """
    yield from conv_unit("stem", "conv_stem", "bn1")
    stages = stages_of(config)
    for position, (stage, repeat) in enumerate(stages):
        ours, theirs = f"blocks.{position}", f"blocks.{stage}.{repeat}"
        yield from inside(position, ours, theirs)
        if config.blocks[position].squeeze:
            yield f"{ours}.squeeze_excite.reduce", f"{theirs}.se.conv_reduce"
            yield f"{ours}.squeeze_excite.expand", f"{theirs}.se.conv_expand"
        if has_shortcut(config, position):
            yield from conv_unit(f"{ours}.shortcut.0", f"{theirs}.shortcut.0", f"{theirs}.shortcut.1")
            yield from conv_unit(f"{ours}.shortcut.1", f"{theirs}.shortcut.2", f"{theirs}.shortcut.3")
    last = stages[-1][0] + 1
    yield from conv_unit("head", f"blocks.{last}.0.conv", f"blocks.{last}.0.bn1")
    yield "neck.0", "conv_head"
    yield "classifier", "classifier"


def attention(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    """Yield the three convolutions of the attention."""
    for index in range(3):
        yield from conv_unit(
            f"{ours}.attention.{index}",
            f"{theirs}.short_conv.{2 * index}",
            f"{theirs}.short_conv.{2 * index + 1}",
        )
