"""The frame of a report: one HTML page that needs nothing besides itself, light and dark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from lightcars.recipes.recipe import flat
from lightcars.reports.style import STYLE
from lightcars.version import __version__

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load: nothing but what the page holds."""


def page(title: str, intro: str, sections: Iterable[str]) -> str:
    """The whole document; `intro` and sections are HTML, `title` is text."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{intro}\n{''.join(sections)}"
        f'<p class="soft">Made by lightcars {escape(__version__)}.</p>\n</body>\n</html>\n'
    )


def section(title: str, *content: str) -> str:
    """A heading and HTML below it."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{''.join(content)}\n</section>\n"


def paragraph(text: str, kind: str = "") -> str:
    """Text as a paragraph."""
    return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{escape(text)}</p>\n"


def notes(texts: Iterable[str]) -> str:
    """What the reader has to know."""
    return "".join(paragraph(text, "note") for text in texts)


def tiles(figures: Mapping[str, str]) -> str:
    """Figures that stand out, each with its name."""
    entries = (f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in figures.items())
    return f'<dl class="tiles">{"".join(entries)}</dl>\n'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """A table; its head is text, its cells are HTML, the columns numbered in `right` are flush right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        number = dict.fromkeys(right, ' class="number"')
        return "".join(f"<{tag}{number.get(i, '')}>{cell}</{tag}>" for i, cell in enumerate(row))

    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    top = cells("th", [escape(name) for name in head])
    inner = f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody>\n"
    return f'<div class="scroll"><table>\n{inner}</table></div>\n'


def settings_as_text(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings for people; those inside others as `outer.inner`."""
    return {name: as_text(value) for name, value in flat(settings).items()}


def as_text(value: Any) -> str:
    """A setting for people."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False).replace("null", "-")


def judged(selected_on: str) -> str:
    """What the photographs that chose the epoch are called."""
    return "test" if selected_on == "test" else "validation"


def mark(note: str | None) -> str:
    """What stands beside figures that need a note."""
    return f" ({note})" if note else ""


def percent(value: float | None) -> str:
    """Two digits, or a dash."""
    return "-" if value is None else f"{value:.2f} %"
