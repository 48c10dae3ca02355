"""Rounding of scaled channels and depths, and compound scaling. No torch."""

from __future__ import annotations

import math
from typing import TypedDict

from lightcars.errors import ConfigError

DEPTH_BASE, WIDTH_BASE, RESOLUTION_BASE = 1.2, 1.1, 1.15
"""alpha, beta, gamma of the EfficientNet paper (arXiv 1905.11946, section 3.3)."""


class ScaleFactors(TypedDict):
    """Keyword arguments for `lightcars.efficientnet`: multipliers and pixels."""

    width: float
    depth: float
    resolution: int


def round_channels(channels: float, divisor: int) -> int:
    """Return the multiple of `divisor` nearest to `channels`, never more than 10 % below it.

    The rule of the MobileNet, EfficientNet (divisor 8) and GhostNet (divisor 4) reference codes.

    >>> round_channels(32 * 1.1, 8), round_channels(18, 4)
    (32, 20)
    """
    rounded = nearest_channels(channels, divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def nearest_channels(channels: float, divisor: int) -> int:
    """Return the multiple of `divisor` nearest to `channels`, as EfficientNetV2's reference code rounds.

    >>> nearest_channels(32 * 1.1, 8), nearest_channels(16 * 1.2, 8)
    (32, 16)
    """
    return max(divisor, int(channels + divisor / 2) // divisor * divisor)


def round_repeats(repeats: int, depth: float) -> int:
    """Return `repeats` blocks scaled by `depth`, rounded up.

    >>> round_repeats(3, 1.1)
    4
    """
    return math.ceil(repeats * depth)


def compound_scale(phi: float, *, base_resolution: int = 224) -> ScaleFactors:
    """Return width, depth and resolution for about 2**phi times the arithmetic of EfficientNet-B0.

    depth 1.2**phi, width 1.1**phi, resolution 1.15**phi (EfficientNet paper, equation 3 and section 3.3).
    The published b1 to b7 do not follow it exactly and are registered with their own numbers.

    Args:
        phi: the compound coefficient; 0 is B0, negative values are smaller.
        base_resolution: pixels at phi = 0.

    >>> compound_scale(0)
    {'width': 1.0, 'depth': 1.0, 'resolution': 224}
    >>> from lightcars import efficientnet
    >>> efficientnet(**compound_scale(1)).config.resolution
    258
    """
    if not math.isfinite(phi) or not -10 <= phi <= 20:
        raise ConfigError(f"phi must be a number from -10 to 20, not {phi!r}.")
    return ScaleFactors(
        width=WIDTH_BASE**phi,
        depth=DEPTH_BASE**phi,
        resolution=round(base_resolution * RESOLUTION_BASE**phi),
    )
