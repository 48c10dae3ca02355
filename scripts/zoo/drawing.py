"""The diagrams as SVG images that follow the reader's light or dark theme."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from textwrap import wrap

from scripts.zoo.blocks import Block, Box
from scripts.zoo.layout import FONT_SIZE, LINE_HEIGHT, Layout, Place, Point, lay_out
from scripts.zoo.network import TIMES, Shape, Stage

MARGIN = 12
TITLE_HEIGHT = 40
NETWORK_WIDTH = 360
ROW_GAP = 6
DETAIL_CHARACTERS = 47
BAR_HEIGHT = 4
STYLE = f"""
text {{ font: {FONT_SIZE}px -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: #1c2430 }}
.soft {{ fill: #4b5563 }} .strong {{ font-weight: 600 }}
.middle {{ text-anchor: middle }} .end {{ text-anchor: end }}
.paper {{ fill: #ffffff; stroke: #d5dbe3 }} .box {{ fill: #eef2f7; stroke: #7b8798 }}
.line {{ fill: none; stroke: #4b5563; stroke-width: 1.3 }} .head {{ fill: #4b5563 }}
.track {{ fill: #e3e8ef }} .params {{ fill: #0072b2 }} .macs {{ fill: #d55e00 }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e4e8ee }} .soft {{ fill: #b3bdcb }} .paper {{ fill: #14181f; stroke: #353d49 }}
.box {{ fill: #232b36; stroke: #76849a }} .line {{ stroke: #b3bdcb }} .head {{ fill: #b3bdcb }}
.track {{ fill: #2b3340 }} .params {{ fill: #56b4e9 }} .macs {{ fill: #e69f00 }}
}}
"""
"""The colors of parameters and multiply-accumulates are Okabe and Ito's, told apart with any color vision."""


def network_svg(name: str, stages: Sequence[Stage]) -> str:
    """Return the diagram of a model: its parts from the input to the logits, and what they cost."""
    parts = [
        _text(MARGIN, MARGIN + FONT_SIZE, name, "strong"),
        *_legend(MARGIN, MARGIN + LINE_HEIGHT + FONT_SIZE),
    ]
    y = float(MARGIN + 2 * LINE_HEIGHT + 10)
    for stage in stages:
        drawn, height = _stage(stage, y)
        parts += drawn
        y += height + ROW_GAP
    return _svg(NETWORK_WIDTH, y - ROW_GAP + MARGIN, f"{name} from the input to the logits", parts)


def _stage(stage: Stage, y: float) -> tuple[list[str], float]:
    """Return a stage drawn at this height, and how high it is."""
    details = wrap(": ".join([stage.where, *filter(None, [", ".join(stage.details)])]), DETAIL_CHARACTERS)
    parts = [
        _text(MARGIN + 10, y + 17, stage.title, "strong"),
        _text(NETWORK_WIDTH - MARGIN - 10, y + 17, _map(stage.shape), "end"),
    ]
    bottom = y + 17
    for line in details:
        bottom += LINE_HEIGHT
        parts.append(_text(MARGIN + 10, bottom, line, "soft"))
    bottom += 8
    if stage.params_share or stage.macs_share:
        parts += [_bar(bottom, stage.params_share, "params"), _bar(bottom + 7, stage.macs_share, "macs")]
        bottom += 18
    width, height = NETWORK_WIDTH - 2 * MARGIN, bottom - y
    frame = f'<rect class="box" x="{MARGIN}" y="{y}" width="{width}" height="{height}" rx="6"/>'
    return [frame, *parts], height


def _legend(x: float, y: float) -> Iterable[str]:
    yield _text(x, y, "share of", "soft")
    yield f'<rect class="params" x="{x + 54}" y="{y - 9}" width="10" height="10"/>'
    yield _text(x + 69, y, "parameters", "soft")
    yield f'<rect class="macs" x="{x + 142}" y="{y - 9}" width="10" height="10"/>'
    yield _text(x + 157, y, "multiply-accumulates", "soft")


def _bar(y: float, share: float, kind: str) -> str:
    full = NETWORK_WIDTH - 2 * MARGIN - 20
    return (
        f'<rect class="track" x="{MARGIN + 10}" y="{y}" width="{full}" height="{BAR_HEIGHT}" rx="2"/>'
        f'<rect class="{kind}" x="{MARGIN + 10}" y="{y}" width="{full * share:.1f}" height="{BAR_HEIGHT}"'
        ' rx="2"/>'
    )


def block_svg(model: str, block: Block) -> str:
    """Return the diagram of a block of a model."""
    layout = lay_out(block)
    where = f"{model}, {block.where}"
    needed = max(len(block.title), len(where)) * 6.6
    width = max(layout.width, needed) + 2 * MARGIN
    x, y = MARGIN + (width - 2 * MARGIN - layout.width) / 2, MARGIN + TITLE_HEIGHT
    parts = [
        _text(width / 2, MARGIN + FONT_SIZE, block.title, "strong middle"),
        _text(width / 2, MARGIN + FONT_SIZE + LINE_HEIGHT, where, "soft middle"),
        f'<g transform="translate({x:.1f} {y})">{"".join(_drawn(block, layout))}</g>',
    ]
    height = layout.height + TITLE_HEIGHT + 2 * MARGIN
    return _svg(
        width, height, f"{block.title}, {where}: from {_map(block.before)} to {_map(block.after)}", parts
    )


def _drawn(block: Block, layout: Layout) -> Iterable[str]:
    for line in layout.lines:
        yield f'<path class="line" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in line)}"/>'
        yield _arrow(line[-2], line[-1])
    for name, box in block.boxes.items():
        yield from _box(box, layout.places[name])


def _arrow(before: Point, end: Point) -> str:
    (x, y), down = end, before[0] == end[0]
    corners = (
        ((x, y), (x - 3.5, y - 6), (x + 3.5, y - 6)) if down else ((x, y), (x - 6, y - 3.5), (x - 6, y + 3.5))
    )
    return f'<path class="head" d="M{"L".join(f"{a:.1f} {b:.1f}" for a, b in corners)}Z"/>'


def _box(box: Box, place: Place) -> Iterable[str]:
    rounded = place.height / 2 if len(box.lines) == 1 else 6
    yield (
        f'<rect class="box" x="{place.left:.1f}" y="{place.top:.1f}" width="{place.width:.1f}"'
        f' height="{place.height:.1f}" rx="{rounded:g}"/>'
    )
    first = place.y - LINE_HEIGHT * (len(box.lines) - 1) / 2 + 4
    for index, line in enumerate(box.lines):
        yield _text(place.x, first + index * LINE_HEIGHT, line, "middle soft" if index else "middle")


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _map(shape: Shape) -> str:
    return f" {TIMES} ".join(map(str, shape))


def _svg(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" role="img">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="paper" x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="8"/>\n'
        f"{body}\n</svg>\n"
    )
