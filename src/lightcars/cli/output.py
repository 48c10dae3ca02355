"""Printing: results on stdout, everything else on stderr. No typer, which takes long to import."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from textwrap import indent
from typing import Any, final

from lightcars.errors import LightcarsError
from lightcars.tables import text_table
from lightcars.text import MAX_LENGTH, json_text, one_line

USER_ERROR = 2
"""Exit code after an error that the user can fix."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def echo(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Print to stdout, or to stderr, at once."""
    print(text, end=end, file=sys.stderr if err else sys.stdout, flush=True)


def complain(text: str) -> None:
    """Print a message to stderr, each of its lines without control characters and not too long."""
    for line in text.split("\n"):
        echo(one_line(line, max_length=MAX_LENGTH), err=True)


def complain_in_one_line(text: str) -> None:
    """Print an error or a warning to stderr, as one line whatever names and cells are in it."""
    echo(one_line(text, max_length=MAX_LENGTH), err=True)


def print_line(text: object) -> None:
    """Print names from files to stdout, without control characters."""
    echo(one_line(text))


def print_json(content: Any) -> None:
    """Print JSON; names that are not UTF-8 are escaped, and all that stdout's encoding may not have."""
    echo(_printable_json(content))


@final
class JsonList:
    """Prints a JSON list item by item, as `print_json` prints a whole one; nothing before the first item."""

    def __init__(self) -> None:
        self._begun = False

    def add(self, item: Any) -> None:
        """Print an item."""
        echo(",\n" if self._begun else "[\n", end="")
        echo(indent(_printable_json(item), "  "), end="")
        self._begun = True

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close a list that was begun before an error, so that what was printed is JSON."""
        try:
            yield
        except (LightcarsError, KeyboardInterrupt):
            if self._begun:
                self.end()
            raise

    def end(self) -> None:
        """Close the list."""
        echo("\n]" if self._begun else "[]")


def _printable_json(content: Any) -> str:
    is_utf8 = (sys.stdout.encoding or "utf-8").replace("-", "").lower() == "utf8"
    text = json_text(content, ensure_ascii=not is_utf8)
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def print_whatever_the_encoding() -> None:
    """Let stdout and stderr show characters that their encoding does not have as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> None:
    """Print a table that fits the terminal; into a pipe or a file, a line for each row.

    Args:
        head: names of the columns.
        rows: cells.
        right: names of the columns that are flush right.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    echo(text_table(head, rows, right=right, width=width))


def complete_recipe(incomplete: str) -> list[str]:
    """Complete names of recipes."""
    from lightcars.recipes.files import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


def complete_tracker(incomplete: str) -> list[str]:
    """Complete names of trackers."""
    from lightcars.training.callbacks.tracker_names import NO_TRACKER, TRACKER_EXTRAS

    return [name for name in (*TRACKER_EXTRAS, NO_TRACKER) if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Complete names of models."""
    from lightcars.models.registry import MODELS

    return [name for name in MODELS if name.startswith(incomplete)]
