"""Tables of strings, without torch."""

from __future__ import annotations

from collections.abc import Sequence


def short_number(number: int) -> str:
    """Format a number with three significant digits and a unit.

    >>> short_number(385_814_752), short_number(999), short_number(5_288_548)
    ('386 M', '999', '5.29 M')
    """
    for power, unit in ((10**3, "k"), (10**6, "M"), (10**9, "G"), (10**12, "T")):
        rounded = float(f"{number / power:.3g}")
        if number >= 1000 and (rounded < 1000 or unit == "T"):
            return f"{rounded:g} {unit}"
    return str(number)


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table with columns two spaces apart and a rule below the head."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    title = "  ".join(cell.ljust(width) for cell, width in zip(head, widths, strict=True))
    return "\n".join(line.rstrip() for line in [title, "-" * len(title), *lines])


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a GitHub-flavored Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell for cell in line) + " |" for line in lines)
