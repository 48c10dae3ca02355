"""Axes of the charts: scales, round ticks, the frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 30.0, 40.0

_LARGEST = 1e100
_FLATTENED = 0.3
"""Share of an axis: if all values but the outliers take less of it, they are flattened."""
_OUTLIERS = 0.1
"""Largest share of the values that are outliers; one value always may be."""
_LEAST_RATIO = 4.0
"""Between the largest and the smallest value; below it, a logarithmic axis changes little."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Map values to pixels, linearly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        if self.is_log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values on the axis."""
        return log_ticks(self.low, self.high) if self.is_log else ticks(self.low, self.high)


def is_drawn(value: float) -> bool:
    """Return whether a value has a place on an axis; not NaN, infinite, or so large as to overflow."""
    return abs(value) < _LARGEST


def is_flattened(values: Sequence[float]) -> bool:
    """Return whether a few outliers flatten the other values on a linear axis, and a logarithmic one helps.

    >>> is_flattened([700.0, 5.1, 4.8, 4.5, 4.4]), is_flattened([5.1, 4.8, 4.5])
    (True, False)
    """
    ordered = sorted(values)
    if len(ordered) < 4 or ordered[0] <= 0 or ordered[-1] < _LEAST_RATIO * ordered[0]:
        return False
    rest = ordered[: len(ordered) - max(1, int(_OUTLIERS * len(ordered)))]
    return rest[-1] - rest[0] < _FLATTENED * (ordered[-1] - ordered[0])


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and the highest value, made distinct if they are equal."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high > low:
        return low, high
    return low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2


def padded(low: float, high: float) -> tuple[float, float]:
    """Return limits with a margin, so that no point is on the frame."""
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def ticks(low: float, high: float, number: int = 6) -> list[float]:
    """Return round values from `low` to `high`.

    >>> ticks(0.3, 4.2)
    [1.0, 2.0, 3.0, 4.0]
    """
    power = 10 ** math.floor(math.log10((high - low) / number))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (power * factor) <= number)
    first = math.ceil(low / step - 1e-9)
    return [round(tick * step, 12) for tick in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float, number: int = 7) -> list[float]:
    """Return round values of a logarithmic axis from `low` to `high`, both positive.

    >>> log_ticks(4, 700)
    [5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [float(f"{factor}e{decade}") for decade in decades for factor in factors]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) <= number:
            return found
    return found[:: math.ceil(len(found) / number)]


def frame(title: str, x_name: str) -> str:
    """Return title, name of the x axis, and the two axes."""
    middle = (LEFT + WIDTH - RIGHT) / 2
    return (
        f'<text class="title" x="{middle}" y="18">{escape(title)}</text>'
        f'<text class="name" x="{middle}" y="{HEIGHT - 6}">{escape(x_name)}</text>'
        f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
    )


def x_axis(scale: Scale, *, whole: bool) -> str:
    """Return the ticks of the x axis, at whole numbers only if `whole`."""
    return "".join(
        f'<text class="x" x="{scale(tick):.1f}" y="{HEIGHT - BOTTOM + 16}">{tick:g}</text>'
        for tick in scale.ticks
        if not whole or tick == round(tick)
    )


def y_axis(scale: Scale) -> str:
    """Return ticks and grid lines of the y axis."""
    return "".join(
        f'<path class="grid" d="M{LEFT} {scale(tick):.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="y" x="{LEFT - 6}" y="{scale(tick) + 4:.1f}">{tick:g}</text>'
        for tick in scale.ticks
    )
