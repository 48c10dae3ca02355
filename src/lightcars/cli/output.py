"""Printing: results on stdout, everything else on stderr."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Sequence

import typer

from lightcars.models.registry import MODELS
from lightcars.tables import text_table

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def complain(text: str) -> None:
    """One line on stderr."""
    typer.echo(text, err=True)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> None:
    """Print a table that fits the terminal; into a pipe or a file, a line for each row.

    Args:
        head: names of the columns.
        rows: cells.
        right: names of the columns that are flush right.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    typer.echo(text_table(head, rows, right=right, width=width))


def complete_recipe(incomplete: str) -> list[str]:
    """Complete names of recipes."""
    from lightcars.recipes.files import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


def complete_tracker(incomplete: str) -> list[str]:
    """Complete names of trackers."""
    from lightcars.training.callbacks.trackers import NO_TRACKER, TRACKER_EXTRAS

    return [name for name in (*TRACKER_EXTRAS, NO_TRACKER) if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Complete names of models."""
    return [name for name in MODELS if name.startswith(incomplete)]
