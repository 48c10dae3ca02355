"""Charts as inline SVG in the colors of the page, light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from lightcars.evaluation.analysis import Reliability

WIDTH, HEIGHT = 420.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 30.0, 40.0
NUM_COLORS = 8
MARKED_POINTS = 40
"""A line with more points is drawn without markers."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        name: name in the legend.
        xs, ys: coordinates of its points; a y that is not finite leaves a gap.
        color: index in the palette of the page.
        dashed: draw a dashed line.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    color: int
    dashed: bool = False


_LARGEST = 1e100


@dataclass(frozen=True, slots=True)
class _Scale:
    """Map values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def line_chart(title: str, lines: Sequence[Line], *, x_name: str = "epoch") -> str:
    """Draw lines over the epochs, with a legend if there is more than one."""
    xs = [x for line in lines for x in line.xs]
    ys = [y for line in lines for y in line.ys if _is_drawn(y)]
    x_scale = _Scale(*_range(xs), LEFT, WIDTH - RIGHT)
    y_scale = _Scale(*_range(ys), HEIGHT - BOTTOM, TOP)
    parts = [_frame(title, x_name), _x_axis(x_scale, whole=True), _y_axis(y_scale)]
    parts += [_line(line, x_scale, y_scale) for line in lines]
    return f"<figure>{_svg(title, parts)}{_legend(lines) if len(lines) > 1 else ''}</figure>"


@dataclass(frozen=True, slots=True)
class Point:
    """One labeled point of a scatter chart.

    Attributes:
        name: label beside it.
        x, y: coordinates.
        color: index in the palette of the page.
        marked: whether it has a ring, and the line through all marked points passes through it.
    """

    name: str
    x: float
    y: float
    color: int
    marked: bool = False


def scatter_chart(title: str, points: Sequence[Point], *, x_name: str) -> str:
    """Draw labeled points, and a line through the marked ones."""
    x_scale = _Scale(*_padded(_range([point.x for point in points])), LEFT, WIDTH - RIGHT)
    y_scale = _Scale(*_padded(_range([point.y for point in points])), HEIGHT - BOTTOM, TOP)
    parts = [_frame(title, x_name), _x_axis(x_scale, whole=False), _y_axis(y_scale)]
    front = sorted((point for point in points if point.marked), key=lambda point: point.x)
    path = " ".join(f"{x_scale(point.x):.1f},{y_scale(point.y):.1f}" for point in front)
    parts.append(f'<polyline class="front" points="{path}"/>')
    parts += [_labeled(point, x_scale(point.x), y_scale(point.y)) for point in points]
    return f"<figure>{_svg(f'{title} over {x_name}', parts)}</figure>"


def _labeled(point: Point, x: float, y: float) -> str:
    color, name = point.color % NUM_COLORS, escape(point.name)
    left = x > (LEFT + WIDTH - RIGHT) / 2  # labels stay inside of the frame
    label = (
        f'<text class="label{" left" if left else ""}" x="{x + (-7 if left else 7):.1f}"'
        f' y="{y + 3:.1f}">{name}</text>'
    )
    ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>' if point.marked else ""
    caption = f"{name}: {point.y:g} at {point.x:g}"
    return (
        f'{ring}<circle class="f{color}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{caption}</title></circle>'
        f"{label}"
    )


def _padded(limits: tuple[float, float]) -> tuple[float, float]:
    """Return limits with a margin, so that no point is on the frame."""
    low, high = limits
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def reliability_diagram(bins: Reliability) -> str:
    """Draw accuracy over confidence; the dashed line is perfect calibration."""
    x_scale, y_scale = _Scale(0, 100, LEFT, WIDTH - RIGHT), _Scale(0, 100, HEIGHT - BOTTOM, TOP)
    width, highest = 100 / len(bins.counts), max(bins.counts.tolist())
    title = "accuracy (%) over confidence (%)"
    parts = [
        _frame("", "probability of the most likely class (%)"),
        _x_axis(x_scale, whole=True),
        _y_axis(y_scale),
    ]
    for position, count in enumerate(bins.counts.tolist()):
        if not count:
            continue
        left, right = x_scale(position * width), x_scale((position + 1) * width)
        accuracy, confidence = float(bins.accuracies[position]), float(bins.confidences[position])
        top = y_scale(100 * accuracy)
        caption = f"{count} images, accuracy {accuracy:.1%}, confidence {confidence:.1%}"
        parts.append(
            f'<rect class="f0" x="{left + 1:.1f}" y="{top:.1f}" width="{right - left - 2:.1f}"'
            f' height="{HEIGHT - BOTTOM - top:.1f}" fill-opacity="{0.25 + 0.75 * count / highest:.2f}">'
            f"<title>{caption}</title></rect>"
        )
        level = y_scale(100 * confidence)
        parts.append(f'<path class="confidence" d="M{left + 1:.1f} {level:.1f}H{right - 1:.1f}"/>')
    parts.append(f'<path class="ideal" d="M{LEFT} {HEIGHT - BOTTOM}L{WIDTH - RIGHT} {TOP}"/>')
    return f"<figure>{_svg(title, parts)}<figcaption>{escape(title)}</figcaption></figure>"


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _frame(title: str, x_name: str) -> str:
    middle = (LEFT + WIDTH - RIGHT) / 2
    return (
        f'<text class="title" x="{middle}" y="18">{escape(title)}</text>'
        f'<text class="name" x="{middle}" y="{HEIGHT - 6}">{escape(x_name)}</text>'
        f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
    )


def _x_axis(scale: _Scale, *, whole: bool) -> str:
    ticks = [tick for tick in _ticks(scale.low, scale.high) if not whole or tick == round(tick)]
    return "".join(
        f'<text class="x" x="{scale(tick):.1f}" y="{HEIGHT - BOTTOM + 16}">{tick:g}</text>' for tick in ticks
    )


def _y_axis(scale: _Scale) -> str:
    return "".join(
        f'<path class="grid" d="M{LEFT} {scale(tick):.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="y" x="{LEFT - 6}" y="{scale(tick) + 4:.1f}">{tick:g}</text>'
        for tick in _ticks(scale.low, scale.high)
    )


def _line(line: Line, x_scale: _Scale, y_scale: _Scale) -> str:
    style = f"c{line.color % NUM_COLORS}" + (" dashed" if line.dashed else "")
    points = [(x_scale(x), y_scale(y)) for x, y in zip(line.xs, line.ys, strict=True) if _is_drawn(y)]
    drawn = "".join(
        f'<polyline class="{style}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in piece)}"/>'
        for piece in _pieces(line, x_scale, y_scale)
    )
    if len(points) > MARKED_POINTS:
        return drawn
    return drawn + "".join(
        f'<circle class="f{line.color % NUM_COLORS}" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in points
    )


def _pieces(line: Line, x_scale: _Scale, y_scale: _Scale) -> Iterator[list[tuple[float, float]]]:
    """Split the points at gaps."""
    piece: list[tuple[float, float]] = []
    for x, y in zip(line.xs, line.ys, strict=True):
        if _is_drawn(y):
            piece.append((x_scale(x), y_scale(y)))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _is_drawn(value: float) -> bool:
    """Return whether a value has a place on an axis; not NaN, infinite, or so large as to overflow."""
    return abs(value) < _LARGEST


def _legend(lines: Sequence[Line]) -> str:
    entries = "".join(
        f'<span><svg class="key" viewBox="0 0 24 8"><path class="c{line.color % NUM_COLORS}'
        f'{" dashed" if line.dashed else ""}" d="M0 4H24"/></svg> {escape(line.name)}</span> '
        for line in lines
    )
    return f'<figcaption class="legend">{entries}</figcaption>'


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and the highest value, made distinct if they are equal."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high > low:
        return low, high
    return low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2


def _ticks(low: float, high: float, number: int = 6) -> list[float]:
    """Return round values from `low` to `high`.

    >>> _ticks(0.3, 4.2)
    [1.0, 2.0, 3.0, 4.0]
    """
    power = 10 ** math.floor(math.log10((high - low) / number))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (power * factor) <= number)
    first = math.ceil(low / step - 1e-9)
    return [round(tick * step, 12) for tick in range(first, math.floor(high / step + 1e-9) + 1)]
