"""What changes over a run: the learning rate by steps, the size of photographs by epochs. No torch."""

from __future__ import annotations

import math


def learning_rate_factor(step: int, total: int, warmup: int, schedule: str) -> float:
    """What the peak rate is multiplied with at `step`, counted from 0.

    It rises linearly over `warmup` steps; then "cosine" falls to 0 at `total`, "constant" stays.

    >>> [round(learning_rate_factor(step, 6, 2, "cosine"), 3) for step in range(7)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(total - warmup, 1)
    return 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


def resolution_at(epoch: int, last: float, ends: tuple[int, int], multiple_of: int) -> int:
    """Pixels of the training photographs' square in `epoch`, counted from 0.

    It rises evenly from the first to the second of `ends`, which it has from epoch `last` on; before, it is
    rounded down to a multiple.

    >>> [resolution_at(epoch, 6, (64, 112), 16) for epoch in range(8)]
    [64, 64, 80, 80, 96, 96, 112, 112]
    """
    start, full = ends
    if epoch >= last:
        return full
    return int(start + (full - start) * epoch / last) // multiple_of * multiple_of
