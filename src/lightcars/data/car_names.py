"""Makes and models in the class names of Stanford Cars, which read "Make Model Body Year". No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from lightcars.data.class_matching import class_key
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.errors import InputError
from lightcars.models.validation import require_one_of

Level = Literal["make", "model", "full"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""How much of a name is asked for: "Audi", "Audi S4" or "Audi S4 Sedan 2012"."""
MAKES_OF_TWO_WORDS = ("AM General", "Aston Martin", "Land Rover")
BODIES = (
    "Sedan",
    "SUV",
    "Coupe",
    "Convertible",
    "Conv.",
    "Hatchback",
    "Wagon",
    "Cargo Van",
    "Passenger Van",
    "Minivan",
    "Van",
    "Crew Cab",
    "Extended Cab",
    "Regular Cab",
    "Quad Cab",
    "Club Cab",
    "SuperCab",
)
"""Body styles at the end of names, before the year."""


def is_stanford_cars(classes: Sequence[str]) -> bool:
    """Return whether the classes are the 196 of Stanford Cars, in any order, maybe as names of folders."""
    return len(classes) == len(CLASS_NAMES) and set(map(class_key, classes)) == set(
        map(class_key, CLASS_NAMES)
    )


def make_of(name: str) -> str:
    """Return the make in a class name.

    >>> make_of("Land Rover LR2 SUV 2012"), make_of("Audi S4 Sedan 2007")
    ('Land Rover', 'Audi')
    """
    for make in MAKES_OF_TWO_WORDS:
        if name.startswith(make + " "):
            return make
    return name.partition(" ")[0]


def model_of(name: str) -> str:
    """Return make and model in a class name: without the year and the body styles at its end.

    What may be a trim ("SS", "SRT-8") belongs to the model.

    >>> model_of("Audi S4 Sedan 2007"), model_of("Ram C/V Cargo Van Minivan 2012")
    ('Audi S4', 'Ram C/V')
    """
    left = name.rpartition(" ")[0]
    while body := next((body for body in BODIES if left.endswith(" " + body)), None):
        left = left.removesuffix(" " + body)
    return left


def names_at(level: Level, classes: Sequence[str]) -> list[str]:
    """Return the name of each class at a level; classes that differ in the rest have the same one.

    Raises:
        ConfigError: there is no such level.
        InputError: the classes have no such parts.
    """
    require_one_of("level", level, LEVELS)
    if level == "full":
        return list(classes)
    if not is_stanford_cars(classes):
        raise InputError(
            f"level {level!r} is for the 196 classes of Stanford Cars, and these weights have others; leave"
            " it out."
        )
    shorten = make_of if level == "make" else model_of
    full = {class_key(name): name for name in CLASS_NAMES}
    return [shorten(full[class_key(name)]) for name in classes]
