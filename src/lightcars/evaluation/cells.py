r"""Cells of a CSV file that any program can open: no formulas, and UTF-8 whatever a file name holds.

A spreadsheet runs a cell that begins with = @ + or - as a formula; such a cell is written with an apostrophe
before it. Bytes of file names that are not UTF-8 are written as `\udce9`.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_QUOTED_FORMULA = re.compile(r"'+[=+\-@\t\r]")
_ESCAPED_BYTE = re.compile(r"\\udc([89a-f][0-9a-f])")


def to_cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet runs.

    >>> to_cell("=1+1"), to_cell("Audi A4"), to_cell("'=1")
    ("'=1+1", 'Audi A4', "''=1")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Return the text of a cell that `to_cell` wrote.

    >>> from_cell("'=1+1"), from_cell("=1+1"), from_cell("'quoted'")
    ('=1+1', '=1+1', "'quoted'")
    """
    text = cell[1:] if _QUOTED_FORMULA.match(cell) else cell
    return _ESCAPED_BYTE.sub(lambda match: chr(0xDC00 + int(match[1], 16)), text)
