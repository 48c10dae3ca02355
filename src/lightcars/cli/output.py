"""Printing: results on stdout, everything else on stderr."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from lightcars.models.registry import MODELS

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def complain(text: str) -> None:
    """One line on stderr."""
    typer.echo(text, err=True)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> None:
    """A table that fits the terminal; the columns named in `right` (comma-separated) are flush right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in head:
        table.add_column(name, justify="right" if name in right.split(",") else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table, markup=False)


def complete_recipe(incomplete: str) -> list[str]:
    """Recipes for tab completion."""
    from lightcars.recipes.files import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


def complete_tracker(incomplete: str) -> list[str]:
    """Trackers for tab completion."""
    from lightcars.training.callbacks.trackers import NO_TRACKER, TRACKER_EXTRAS

    return [name for name in (*TRACKER_EXTRAS, NO_TRACKER) if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Registered names for tab completion."""
    return [name for name in MODELS if name.startswith(incomplete)]
