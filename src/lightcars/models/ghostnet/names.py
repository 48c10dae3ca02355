"""GhostNet's layers under the names of Huawei's release, which are timm's, and of the 2020 thesis. No torch.

Sources: `ghostnet_pytorch/ghostnet.py` of Huawei's Efficient-AI-Backbones, `timm/models/ghostnet.py`, and
the golden tensors of the thesis's code. The official form exists under the first names only, the thesis
form under the second only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lightcars.models.ghostnet.config import GhostNetConfig, GhostTableConfig
from lightcars.models.tensor_names import Source, TensorNames, conv_unit


def _stages(config: GhostTableConfig) -> list[tuple[int, int]]:
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


def _has_shortcut(config: GhostTableConfig, position: int) -> bool:
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
    stages = _stages(config)
    for position, (stage, repeat) in enumerate(stages):
        ours, theirs = f"blocks.{position}", f"blocks.{stage}.{repeat}"
        yield from inside(position, ours, theirs)
        if config.blocks[position].squeeze:
            yield f"{ours}.squeeze_excite.reduce", f"{theirs}.se.conv_reduce"
            yield f"{ours}.squeeze_excite.expand", f"{theirs}.se.conv_expand"
        if _has_shortcut(config, position):
            yield from conv_unit(f"{ours}.shortcut.0", f"{theirs}.shortcut.0", f"{theirs}.shortcut.1")
            yield from conv_unit(f"{ours}.shortcut.1", f"{theirs}.shortcut.2", f"{theirs}.shortcut.3")
    last = stages[-1][0] + 1
    yield from conv_unit("head", f"blocks.{last}.0.conv", f"blocks.{last}.0.bn1")
    yield "neck.0", "conv_head"
    yield "classifier", "classifier"


def _official(config: GhostNetConfig) -> Iterator[tuple[str, str]]:
    def inside(position: int, ours: str, theirs: str) -> Iterator[tuple[str, str]]:
        yield from ghost_module(f"{ours}.expand", f"{theirs}.ghost1")
        if config.blocks[position].stride > 1:
            yield from conv_unit(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.bn_dw")
        yield from ghost_module(f"{ours}.project", f"{theirs}.ghost2")

    return official_layers(config, inside)


def _thesis(config: GhostNetConfig) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "features.0.0", "features.0.1")
    for position, block in enumerate(config.blocks):
        ours, theirs = f"blocks.{position}", f"features.{position + 1}"
        yield from ghost_module(f"{ours}.expand", f"{theirs}.conv.0")
        if block.stride > 1:
            yield from conv_unit(f"{ours}.depthwise", f"{theirs}.conv.1.0", f"{theirs}.conv.1.1")
        if block.squeeze:
            yield f"{ours}.squeeze_excite.reduce", f"{theirs}.conv.2.fc.0"
            yield f"{ours}.squeeze_excite.expand", f"{theirs}.conv.2.fc.2"
        yield from ghost_module(f"{ours}.project", f"{theirs}.conv.3")
        if _has_shortcut(config, position):
            yield from conv_unit(f"{ours}.shortcut.0", f"{theirs}.shortcut.0.0", f"{theirs}.shortcut.0.1")
            yield from conv_unit(f"{ours}.shortcut.1", f"{theirs}.shortcut.1", f"{theirs}.shortcut.2")
    yield from conv_unit("head", "squeeze.0", "squeeze.1")
    yield "neck.0", "classifier.0"
    yield "neck.1", "classifier.1"
    yield "classifier", "classifier.4"


NAMES = TensorNames(
    sources={
        "timm": Source(sign="conv_stem.weight", layers=_official),
        "huawei": Source(sign="conv_stem.weight", layers=_official),
        "thesis": Source(sign="features.1.conv.0.primary_conv.0.weight", layers=_thesis),
    },
    known=lambda config: ("thesis",) if config.form == "thesis" else ("timm", "huawei"),
    title=lambda config: f"GhostNet ({config.form} form)",
)
