"""Building blocks of a report: one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from lightcars.recipes.recipe import flat
from lightcars.reports.script import DIGEST, SCRIPT
from lightcars.reports.style import STYLE
from lightcars.version import __version__

POLICY = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{DIGEST}'"
"""Content security policy: a browser loads nothing but what the page contains, and runs one known script."""


def page(title: str, intro: str, sections: Iterable[str]) -> str:
    """Return the whole document; `intro` and sections are HTML, `title` is text."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{intro}\n{''.join(sections)}"
        f'<p class="soft">Made by lightcars {escape(__version__)}.</p>\n<script>{SCRIPT}</script>\n'
        "</body>\n</html>\n"
    )


def section(title: str, *content: str) -> str:
    """Return a heading with HTML below it."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{''.join(content)}\n</section>\n"


def subheading(title: str) -> str:
    """Return the heading of a part of a section."""
    return f"<h3>{escape(title)}</h3>\n"


def paragraph(text: str, kind: str = "") -> str:
    """Return text as a paragraph."""
    return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{escape(text)}</p>\n"


def notes(texts: Iterable[str]) -> str:
    """Return notes as highlighted paragraphs."""
    return "".join(paragraph(text, "note") for text in texts)


def tiles(values: Mapping[str, str]) -> str:
    """Return values that stand out, each with its name."""
    entries = (f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in values.items())
    return f'<dl class="tiles">{"".join(entries)}</dl>\n'


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    sortable: bool = False,
    stacked: bool = True,
) -> str:
    """Return a table.

    Args:
        head: names of the columns, as text.
        rows: cells, as HTML.
        right: indices of the columns that are flush right.
        sortable: a click on a column's name sorts the rows by it; the table gets a scroll bar of its own.
        stacked: on a narrow screen, a row becomes a block with a line for each cell.
    """
    names = [escape(name) for name in head]

    def cells(row: Sequence[str]) -> str:
        return "".join(
            f'<td{_number(column, right)} data-name="{names[column]}">{cell}</td>'
            for column, cell in enumerate(row)
        )

    top = "".join(f'<th scope="col"{_number(column, right)}>{name}</th>' for column, name in enumerate(names))
    body = "".join(f"<tr>{cells(row)}</tr>\n" for row in rows)
    kind = " ".join(name for name, wanted in (("sortable", sortable), ("stacked", stacked)) if wanted)
    inner = f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody>\n"
    return f'<div class="scroll{" tall" if sortable else ""}"><table class="{kind}">\n{inner}</table></div>\n'


def _number(column: int, right: Sequence[int]) -> str:
    return ' class="number"' if column in right else ""


def settings_as_text(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as text, nested ones as `outer.inner`."""
    return {name: as_text(value) for name, value in flat(settings).items()}


def as_text(value: Any) -> str:
    """Return a setting as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False).replace("null", "-")


def split_name(selected_on: str) -> str:
    """Return the name of the split that selected the epoch."""
    return "test" if selected_on == "test" else "validation"


def mark(note: str | None) -> str:
    """Return a note in parentheses, to follow a heading or a value."""
    return f" ({note})" if note else ""


def percent(value: float | None) -> str:
    """Return a percentage with two decimals, or a dash."""
    return "-" if value is None else f"{value:.2f} %"
