"""Print the guesses for an image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lightcars.cli.output import echo, print_line, print_table

if TYPE_CHECKING:
    from lightcars.evaluation.guesses import Answer, Guess

OOD_HINT = (
    "out of distribution: the image looks like none of the classes; the object should be sharp and fill it"
)


NO_CAR = "no car found; the most likely classes of the whole image:"
UNLIKE = "out of distribution: the car looks like none of the classes; it should be sharp"


def print_answer(image: object, answer: Answer) -> None:
    """Print the name of an image and a table of its guesses, or one for each of its cars."""
    if not answer.cars:
        hint = NO_CAR if answer.car_found is False else UNLIKE if answer.car_found else None
        print_guesses(image, answer.guesses, answer.familiar, hint)
        return
    for number, car in enumerate(answer.cars, start=1):
        left, top, right, bottom = car.box
        place = f"{left}, {top} to {right}, {bottom}"
        print_guesses(f"{image}, car {number} ({place})", car.guesses, None)


def print_guesses(
    image: object, guesses: Iterable[Guess], familiar: bool | None, hint: str | None = None
) -> None:
    """Print the name of an image, a hint if it is not familiar, and a table of its guesses."""
    print_line(image)
    if familiar is False:
        echo(hint or OOD_HINT)
    rows = [(f"{guess.probability:.1%}", guess.name) for guess in guesses]
    print_table(("probability", "class"), rows, right=("probability",))
