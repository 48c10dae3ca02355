"""MNASNet's layers under the names of timm and torchvision. No torch.

Sources: `timm/models/efficientnet.py`, `_gen_mnasnet_b1`, and `torchvision/models/mnasnet.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.mnasnet.config import MNASNetConfig
from lightcars.models.tensor_names import Source, TensorNames, conv_unit, timm_mbconv

STAGE_OFFSET = 7
"""torchvision's stage n, counted from 0, is number 7 + n of its `layers`; all but the first are stacks."""


def _timm(config: MNASNetConfig) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "conv_stem", "bn1")
    for position, block in enumerate(config.blocks()):
        ours, theirs = f"blocks.{position}", f"blocks.{block.stage}.{block.repeat}"
        yield from timm_mbconv(ours, theirs, expands=block.expand_ratio > 1, squeezes=False)
    yield from conv_unit("head", "conv_head", "bn2")
    yield "classifier", "classifier"


def _torchvision(config: MNASNetConfig) -> Iterator[tuple[str, str]]:
    """The stem and the first stage, a block without expansion, are in `layers` itself; then follow stacks."""
    yield from conv_unit("stem", "layers.0", "layers.1")
    yield from conv_unit("blocks.0.depthwise", "layers.3", "layers.4")
    yield from conv_unit("blocks.0.project", "layers.6", "layers.7")
    for position, block in enumerate(config.blocks()[1:], start=1):
        ours, theirs = f"blocks.{position}", f"layers.{STAGE_OFFSET + block.stage}.{block.repeat}.layers"
        for part, (conv, norm) in {"expand": (0, 1), "depthwise": (3, 4), "project": (6, 7)}.items():
            yield from conv_unit(f"{ours}.{part}", f"{theirs}.{conv}", f"{theirs}.{norm}")
    last = STAGE_OFFSET + len(config.stages)
    yield from conv_unit("head", f"layers.{last}", f"layers.{last + 1}")
    yield "classifier", "classifier.1"


def _known(config: MNASNetConfig) -> tuple[str, ...]:
    """torchvision's stacks always expand, and its first stage is one block that does not."""
    first, *others = config.stages
    fits = (first.expand_ratio, first.repeats) == (1, 1) and all(row.expand_ratio > 1 for row in others)
    return ("timm", "torchvision") if fits else ("timm",)


NAMES = TensorNames(
    sources={
        "timm": Source(sign="conv_stem.weight", layers=_timm),
        "torchvision": Source(sign="layers.8.0.layers.0.weight", layers=_torchvision),
    },
    known=_known,
    title=lambda _: "MNASNet",
)
