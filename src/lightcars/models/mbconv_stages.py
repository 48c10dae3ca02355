"""Tables of stages of MBConv blocks, and the blocks that they scale to. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightcars.models.scaling import round_channels
from lightcars.models.validation import require_int

CHANNEL_DIVISOR = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class MBConvStage:
    """`repeats` equal blocks; only the first one has `stride`. Values are unscaled."""

    expand_ratio: int
    kernel_size: int
    stride: int
    channels: int
    repeats: int

    def __post_init__(self) -> None:
        for name in ("expand_ratio", "kernel_size", "stride", "channels", "repeats"):
            require_int(name, getattr(self, name), at_least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MBConvBlock:
    """One block after scaling: number `repeat` of its stage."""

    stage: int
    repeat: int
    in_channels: int
    out_channels: int
    expand_ratio: int
    kernel_size: int
    stride: int
    drop_path: float


def scaled_blocks(
    stages: Sequence[MBConvStage],
    *,
    in_channels: int,
    width: float,
    drop_path: float,
    repeats: Sequence[int] | None = None,
    rounded: Callable[[float, int], int] = round_channels,
) -> tuple[MBConvBlock, ...]:
    """Return all blocks of a table in order.

    Args:
        stages: rows of the architecture table.
        in_channels: channels after the stem.
        width: multiplier of the table's channels.
        drop_path: stochastic depth rate of the last block; it grows linearly from 0 at the first block.
        repeats: blocks of every stage; None is the table's.
        rounded: scaled channels and their divisor -> channels.
    """
    counts = [stage.repeats for stage in stages] if repeats is None else repeats
    blocks: list[MBConvBlock] = []
    for position, (stage, count) in enumerate(zip(stages, counts, strict=True)):
        out_channels = rounded(stage.channels * width, CHANNEL_DIVISOR)
        for repeat in range(count):
            blocks.append(
                MBConvBlock(
                    stage=position,
                    repeat=repeat,
                    in_channels=in_channels,
                    out_channels=out_channels,
                    expand_ratio=stage.expand_ratio,
                    kernel_size=stage.kernel_size,
                    stride=stage.stride if repeat == 0 else 1,
                    drop_path=drop_path * len(blocks) / sum(counts),
                )
            )
            in_channels = out_channels
    return tuple(blocks)
