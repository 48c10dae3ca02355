"""Print the guesses for an image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lightcars.cli.output import echo, print_line, print_table

if TYPE_CHECKING:
    from lightcars.evaluation.guesses import Guess

OOD_HINT = "out of distribution: hardly looks like any of the classes; it should fill the image and be sharp"


def print_guesses(image: object, guesses: Iterable[Guess], familiar: bool | None) -> None:
    """Print the name of an image and a table of its guesses."""
    print_line(image)
    if familiar is False:
        echo(OOD_HINT)
    rows = [(f"{guess.probability:.1%}", guess.name) for guess in guesses]
    print_table(("probability", "class"), rows, right=("probability",))
