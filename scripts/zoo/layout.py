"""Places for the boxes and lines of a block's diagram: rows from top to bottom, a column for each branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.zoo.blocks import INPUT, OUTPUT, Block, Box

FONT_SIZE = 12
LINE_HEIGHT = 16
CHARACTER_WIDTH = 6.4
"""Of an average character at the font size, generously."""
BOX_PADDING = 16
GAP_X, GAP_Y, LANE = 16, 22, 12
CIRCLE = 18
"""Width and height of a box with one character."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Place:
    """The middle of a box, and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2

    @property
    def left(self) -> float:
        return self.x - self.width / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Places of boxes by name, lines through points that end in an arrow, and the size of it all."""

    places: Mapping[str, Place]
    lines: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def lay_out(block: Block) -> Layout:
    """Return the places of a block's boxes.

    The longest path is one column. Branches are columns to its right, from the row after the one that they
    leave to the row before the one that they join; what skips boxes of the column itself goes down a lane
    to the left, one for each box where such lines begin.
    """
    rows = _rows(block)
    columns = _columns(block, rows)
    lanes = _lanes(block, rows, columns)
    sizes = {name: _size(box) for name, box in block.boxes.items()}
    num_rows, num_columns = max(rows.values()) + 1, max(columns.values()) + 1
    heights = [max(sizes[name][1] for name in rows if rows[name] == row) for row in range(num_rows)]
    widths = [max(sizes[name][0] for name in columns if columns[name] == c) for c in range(num_columns)]
    start = LANE * (max(lanes.values(), default=-1) + 1)
    places = {
        name: Place(
            start + sum(widths[: columns[name]]) + GAP_X * columns[name] + widths[columns[name]] / 2,
            sum(heights[: rows[name]]) + GAP_Y * rows[name] + heights[rows[name]] / 2,
            *sizes[name],
        )
        for name in block.boxes
    }
    tops = [sum(heights[:row]) + GAP_Y * row for row in range(num_rows)]
    lines = [
        _lane_line(places[before], places[after], start - LANE * (lanes[before] + 0.5))
        if _skips(before, after, rows, columns)
        else _line(places[before], places[after], leaves=columns[after] > columns[before], tops=tops)
        for before, after in block.edges
    ]
    width = start + sum(widths) + GAP_X * (num_columns - 1)
    return Layout(places=places, lines=tuple(lines), width=width, height=tops[-1] + heights[-1])


def _rows(block: Block) -> dict[str, int]:
    """Return the row of each box: the length of the longest path from the input."""
    rows = dict.fromkeys(block.boxes, 0)
    for name in block.boxes:  # in the order of execution
        above = [rows[before] for before, after in block.edges if after == name]
        rows[name] = max(above, default=-1) + 1
    return rows


def _columns(block: Block, rows: Mapping[str, int]) -> dict[str, int]:
    """Return the column of each box: 0 on the longest path, and the first that is free on others."""
    columns = dict.fromkeys(
        _path_up(block, rows, next(n for n, b in block.boxes.items() if b.kind == OUTPUT)), 0
    )
    taken: list[tuple[int, int, int]] = []
    for name in block.boxes:
        if name in columns:
            continue
        path = _path_down(block, rows, name, columns)
        joined = [rows[after] for before, after in block.edges if before == path[-1]]
        first, last = rows[name], max(joined) - 1
        column = next(
            column
            for column in range(1, len(block.boxes))
            if all(column != c or last < low or first > high for c, low, high in taken)
        )
        taken.append((column, first, last))
        columns |= dict.fromkeys(path, column)
    return columns


def _path_up(block: Block, rows: Mapping[str, int], name: str) -> list[str]:
    path = [name]
    while block.boxes[path[-1]].kind != INPUT:
        path.append(
            next(
                before
                for before, after in block.edges
                if after == path[-1] and rows[before] == rows[after] - 1
            )
        )
    return path


def _path_down(block: Block, rows: Mapping[str, int], name: str, placed: Mapping[str, int]) -> list[str]:
    path = [name]
    while following := [
        after
        for before, after in block.edges
        if before == path[-1] and after not in placed and rows[after] == rows[before] + 1
    ]:
        path.append(following[0])
    return path


def _skips(before: str, after: str, rows: Mapping[str, int], columns: Mapping[str, int]) -> bool:
    return columns[before] == columns[after] == 0 and rows[after] > rows[before] + 1


def _lanes(block: Block, rows: Mapping[str, int], columns: Mapping[str, int]) -> dict[str, int]:
    """Return the lane of each box where lines begin that skip boxes; 0 is the one next to the boxes."""
    spans: dict[str, int] = {}
    for before, after in block.edges:
        if _skips(before, after, rows, columns):
            spans[before] = max(spans.get(before, 0), rows[after])
    lanes: dict[str, int] = {}
    for name in sorted(spans, key=lambda name: spans[name] - rows[name]):
        crossing = {
            lanes[other] for other in lanes if rows[other] < spans[name] and rows[name] < spans[other]
        }
        lanes[name] = next(lane for lane in range(len(spans)) if lane not in crossing)
    return lanes


def _size(box: Box) -> tuple[float, float]:
    longest = max(map(len, box.lines))
    if longest == 1:
        return CIRCLE, CIRCLE
    return longest * CHARACTER_WIDTH + BOX_PADDING, len(box.lines) * LINE_HEIGHT + BOX_PADDING / 2


def _lane_line(before: Place, after: Place, x: float) -> tuple[Point, ...]:
    """Return a line from the left side of a box to that of another, down a lane."""
    return (before.left, before.y), (x, before.y), (x, after.y), (after.left, after.y)


def _line(before: Place, after: Place, *, leaves: bool, tops: Sequence[float]) -> tuple[Point, ...]:
    """Return a line from the bottom of a box to the top of another.

    It changes columns below `before` if it leaves for a branch, else above the row of `after`.
    """
    if before.x == after.x:
        return (before.x, before.bottom), (after.x, after.top)
    following = (
        next(top for top in tops if top > before.y) if leaves else max(t for t in tops if t <= after.y)
    )
    between = following - GAP_Y / 2
    return (before.x, before.bottom), (before.x, between), (after.x, between), (after.x, after.top)
