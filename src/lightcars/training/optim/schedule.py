"""The learning rate over the steps of a run. No torch."""

from __future__ import annotations

import math


def learning_rate_factor(step: int, total: int, warmup: int, schedule: str) -> float:
    """Return the factor of the peak learning rate at `step`, counted from 0.

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
