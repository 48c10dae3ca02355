"""Tables of strings, as plain text, Markdown and HTML. No torch."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from html import escape
from typing import Literal

from lightcars.text import one_line

_UNLIMITED = 1_000_000
"""Characters of a line that no table fills."""
_RULE_BELOW_HEAD = "    \n    \n -- \n    \n    \n    \n    \n    \n"
"""A box of rich in which nothing is drawn but the line below the head."""


def short_number(number: int) -> str:
    """Return a number with three digits and a unit.

    >>> short_number(385_814_752), short_number(999), short_number(5_288_548)
    ('386 M', '999', '5.29 M')
    """
    for power, unit in ((10**3, "k"), (10**6, "M"), (10**9, "G"), (10**12, "T")):
        rounded = float(f"{number / power:.3g}")
        if number >= 1000 and (rounded < 1000 or unit == "T"):
            return f"{rounded:g} {unit}"
    return str(number)


def text_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
    width: int | None = None,
) -> str:
    """Return columns two spaces apart, with a rule below their names.

    Args:
        head: names of the columns.
        rows: cells, printed as they are: no markup, no emoji codes, control characters escaped.
        right: names of the columns that are flush right.
        width: of the terminal, in characters; cells are folded to fit it. None: one line for each row.

    >>> print(text_table(("class", "images"), [("Audi A4", "12"), ("BMW", "7")], right=["images"]))
    class    images
    ---------------
    Audi A4      12
    BMW           7
    """
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=Box(_RULE_BELOW_HEAD, ascii=True), show_edge=False, padding=(0, 1, 0, 0), pad_edge=False
    )
    for name in head:
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(Text(one_line(name)), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    file = io.StringIO()
    console = Console(
        file=file,
        width=width or _UNLIMITED,
        color_system=None,
        legacy_windows=False,
        force_jupyter=False,  # it would print an empty line there
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> str:
    """Return a table of GitHub's Markdown; the columns named in `right` are flush right.

    >>> print(markdown_table(("class", "images"), [("Audi A4", "12")], right=["images"]))
    | class | images |
    | --- | ---: |
    | Audi A4 | 12 |
    """
    rule = ["---:" if name in right else "---" for name in head]
    lines = [
        [_in_markdown(name) for name in head],
        rule,
        *([_in_markdown(cell) for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def html_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
    title: str = "",
    folded: bool = False,
) -> str:
    """Return a table for notebooks, with a title above it.

    Args:
        head: names of the columns; if all are empty, the table has no head.
        rows: cells, shown as text.
        right: names of the columns that are flush right.
        title: text above the table.
        folded: show the title alone until it is clicked.
    """

    def line(tag: str, cells: Sequence[str]) -> str:
        sides = ("right" if name in right else "left" for name in head)
        return "".join(
            f'<{tag} style="text-align: {side}">{escape(one_line(cell))}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )

    top = f"<thead><tr>{line('th', head)}</tr></thead>" if any(head) else ""
    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    table = f"<table>{top}<tbody>{body}</tbody></table>"
    text = escape(one_line(title))
    if folded:
        return f"<details><summary>{text}</summary>{table}</details>"
    return f"<strong>{text}</strong>{table}" if title else table


def _in_markdown(cell: str) -> str:
    return one_line(cell).replace("|", "\\|")
