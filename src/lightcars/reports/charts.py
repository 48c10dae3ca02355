"""Charts as inline SVG in the colors of the page, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from lightcars.evaluation.analysis import Reliability
from lightcars.reports.axes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    frame,
    is_drawn,
    is_flattened,
    limits,
    padded,
    x_axis,
    y_axis,
)
from lightcars.reports.hover import bands
from lightcars.reports.lines import NUM_COLORS, Line, drawn_line, legend


def line_chart(title: str, lines: Sequence[Line], *, x_name: str = "epoch") -> str:
    """Draw lines over the epochs, with a legend if there is more than one.

    A pointer shows the values of an epoch. The y axis is logarithmic where outliers would flatten the rest.
    """
    ys = [y for line in lines for y in line.ys if is_drawn(y)]
    is_log = is_flattened(ys)
    x_scale = Scale(*limits([x for line in lines for x in line.xs]), LEFT, WIDTH - RIGHT)
    y_scale = Scale(*limits(ys), HEIGHT - BOTTOM, TOP, is_log)
    heading = f"{title}, log scale" if is_log else title
    parts = [frame(heading, x_name), x_axis(x_scale, whole=True), y_axis(y_scale)]
    parts += [drawn_line(line, x_scale, y_scale) for line in lines]
    parts.append(bands(lines, x_scale, x_name=x_name))
    return f"<figure>{_svg(heading, parts)}{legend(lines) if len(lines) > 1 else ''}</figure>"


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
    x_scale = Scale(*padded(*limits([point.x for point in points])), LEFT, WIDTH - RIGHT)
    y_scale = Scale(*padded(*limits([point.y for point in points])), HEIGHT - BOTTOM, TOP)
    parts = [frame(title, x_name), x_axis(x_scale, whole=False), y_axis(y_scale)]
    front = sorted((point for point in points if point.marked), key=lambda point: point.x)
    path = " ".join(f"{x_scale(point.x):.1f},{y_scale(point.y):.1f}" for point in front)
    parts.append(f'<polyline class="front" points="{path}"/>')
    parts += [_labeled(point, x_scale(point.x), y_scale(point.y)) for point in points]
    return f"<figure>{_svg(f'{title} vs. {x_name}', parts)}</figure>"


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


def reliability_diagram(bins: Reliability) -> str:
    """Draw accuracy over confidence; the dashed line is perfect calibration."""
    x_scale, y_scale = Scale(0, 100, LEFT, WIDTH - RIGHT), Scale(0, 100, HEIGHT - BOTTOM, TOP)
    width, highest = 100 / len(bins.counts), max(bins.counts.tolist())
    title = "accuracy (%) vs. confidence (%)"
    parts = [
        frame("", "probability of the most likely class (%)"),
        x_axis(x_scale, whole=True),
        y_axis(y_scale),
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
