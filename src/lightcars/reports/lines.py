"""Lines of a chart as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from lightcars.plots import COLORS
from lightcars.reports.axes import Scale, is_drawn

NUM_COLORS = len(COLORS)
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
        best: x of the point that gets a ring.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    color: int
    dashed: bool = False
    best: float | None = None


def drawn_line(line: Line, x_scale: Scale, y_scale: Scale) -> str:
    """Return a line with its points, and a ring around the best one."""
    color = line.color % NUM_COLORS
    style = f"c{color}" + (" dashed" if line.dashed else "")
    points = [(x_scale(x), y_scale(y)) for x, y in zip(line.xs, line.ys, strict=True) if is_drawn(y)]
    drawn = "".join(
        f'<polyline class="{style}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in piece)}"/>'
        for piece in _pieces(line, x_scale, y_scale)
    )
    if len(points) <= MARKED_POINTS:
        drawn += "".join(f'<circle class="f{color}" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in points)
    best = [y for x, y in zip(line.xs, line.ys, strict=True) if x == line.best and is_drawn(y)]
    if line.best is not None and best:
        drawn += f'<circle class="ring" cx="{x_scale(line.best):.1f}" cy="{y_scale(best[0]):.1f}" r="5"/>'
    return drawn


def _pieces(line: Line, x_scale: Scale, y_scale: Scale) -> Iterator[list[tuple[float, float]]]:
    """Split the points at gaps."""
    piece: list[tuple[float, float]] = []
    for x, y in zip(line.xs, line.ys, strict=True):
        if is_drawn(y):
            piece.append((x_scale(x), y_scale(y)))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def legend(lines: Sequence[Line]) -> str:
    """Return the names of the lines, each with a piece of it."""
    entries = "".join(
        f'<span><svg class="key" viewBox="0 0 24 8"><path class="c{line.color % NUM_COLORS}'
        f'{" dashed" if line.dashed else ""}" d="M0 4H24"/></svg> {escape(line.name)}</span> '
        for line in lines
    )
    return f'<figcaption class="legend">{entries}</figcaption>'
