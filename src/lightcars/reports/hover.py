"""Values of a chart that a pointer shows, with style rules alone: no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise

from lightcars.reports.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale, is_drawn
from lightcars.reports.lines import NUM_COLORS, Line

MAX_BANDS = 150
"""A chart with more epochs shows every second, third, ... one."""
MAX_ENTRIES = 13
_LINE_HEIGHT, _CHARACTER = 13.0, 5.7
"""Pixels of a line of text, and of a character on average."""


def bands(lines: Sequence[Line], x_scale: Scale, *, x_name: str) -> str:
    """Return a transparent band for each x; a pointer on it shows the values of all lines there."""
    xs = sorted({x for line in lines for x in line.xs})
    xs = xs[:: max(1, math.ceil(len(xs) / MAX_BANDS))]
    values = [dict(zip(line.xs, line.ys, strict=True)) for line in lines]
    edges = [LEFT, *((x_scale(a) + x_scale(b)) / 2 for a, b in pairwise(xs)), WIDTH - RIGHT]
    parts = []
    for x, start, end in zip(xs, edges, edges[1:], strict=False):
        here = [
            (line, found[x])
            for line, found in zip(lines, values, strict=True)
            if is_drawn(found.get(x, math.inf))
        ]
        parts.append(
            f'<g class="at"><rect class="band" x="{start:.1f}" y="{TOP:.0f}" width="{end - start:.1f}"'
            f' height="{HEIGHT - BOTTOM - TOP:.0f}"/>'
            f'<path class="guide" d="M{x_scale(x):.1f} {TOP:.0f}V{HEIGHT - BOTTOM:.0f}"/>'
            f"{_tip(f'{x_name} {x:g}', here, x_scale(x))}</g>"
        )
    return "".join(parts)


def _tip(title: str, entries: Sequence[tuple[Line, float]], x: float) -> str:
    """Return the box with the values, on the side of the guide where there is more room."""
    shown = entries if len(entries) <= MAX_ENTRIES else [entry for entry in entries if not entry[0].dashed]
    texts = [f"{line.name}: {value:.4g}" for line, value in shown[:MAX_ENTRIES]]
    width = _CHARACTER * max(map(len, (title, *texts))) + 20
    left = x + 6 if x < (LEFT + WIDTH - RIGHT) / 2 else x - 6 - width
    left = min(max(left, 0.0), WIDTH - width)
    height = _LINE_HEIGHT * (len(texts) + 1) + 8
    rows = "".join(
        f'<circle class="f{line.color % NUM_COLORS}" cx="{left + 9:.1f}"'
        f' cy="{TOP + 2 + _LINE_HEIGHT * (row + 2) - 4:.1f}" r="3"/>'
        f'<text x="{left + 16:.1f}" y="{TOP + 2 + _LINE_HEIGHT * (row + 2):.1f}">{escape(text)}</text>'
        for row, ((line, _), text) in enumerate(zip(shown, texts, strict=False))
    )
    box = f'x="{left:.1f}" y="{TOP:.0f}" width="{width:.1f}" height="{height:.0f}" rx="4"'
    return (
        f'<g class="tip"><rect {box}/>'
        f'<text x="{left + 6:.1f}" y="{TOP + 2 + _LINE_HEIGHT:.1f}">{escape(title)}</text>{rows}</g>'
    )
