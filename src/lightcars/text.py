"""Text that others read: one line without control characters, and JSON. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

MAX_LENGTH = 600
"""Characters of a message; a longer one is cut in the middle."""


def one_line(text: object, *, max_length: int | None = None) -> str:
    r"""Return a text as one printable line.

    Line breaks, control characters (terminal escape sequences among them), characters that change the writing
    direction and bytes of a file name that are not UTF-8 are shown as escapes such as `\n` and `\x1b`.

    Args:
        text: anything; its `str` is taken.
        max_length: a longer text is cut in the middle, because its end often says what to do.

    >>> one_line("a\nb"), one_line("\x1b[31mred"), one_line("caf\udce9.jpg")
    ('a\\nb', '\\x1b[31mred', 'caf\\udce9.jpg')
    >>> one_line("a long text", max_length=7)
    'a l...t'
    """
    line = "".join(character if _is_printed(character) else _escaped(character) for character in str(text))
    if max_length is None or len(line) <= max_length:
        return line
    end = (max_length - 3) // 3
    return f"{line[: max_length - 3 - end]}...{line[len(line) - end :]}"


def rounded(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, and never with an exponent for a large one.

    >>> rounded(1762.4), rounded(0.01234), rounded(12345.6, 4), rounded(29.97)
    ('1,760', '0.0123', '12,350', '30')
    """
    number = float(f"{value:.{digits}g}")
    return f"{number:,.0f}" if abs(number) >= 10 ** (digits - 1) else f"{number:.{digits}g}"


def json_text(content: Any, *, indent: int | None = 2, ensure_ascii: bool = False) -> str:
    """Return plain data as JSON. NaN and infinity, which JSON does not have, become null.

    >>> json_text({"loss": float("nan"), "epochs": [1, 2]}, indent=None)
    '{"loss": null, "epochs": [1, 2]}'
    """
    return json.dumps(_finite(content), indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _is_printed(character: str) -> bool:
    return character.isprintable() or character in "\u00a0\u200c\u200d\u3000"  # of names in some scripts


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
