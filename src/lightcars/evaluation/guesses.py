"""The result of classifying one image. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

from lightcars.errors import DataError
from lightcars.tables import html_table

OWN_WEIGHTS = "lightcars/efficientnet_lite2.cars196"
"""Weights for Stanford Cars that ship with the package; the full tag, which no folder has as its name."""
Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the upright image, from 0; right and bottom are just outside."""

SIDE = 224
"""Maximum pixels of an image in a notebook."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A class and its probability."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Car:
    """One of several cars in an image.

    Attributes:
        box: around it.
        guesses: the most likely classes, the most likely one first.
    """

    box: Box
    guesses: tuple[Guess, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is said of one image.

    Attributes:
        guesses: the most likely classes, the most likely one first.
        familiar: False for an out-of-distribution (OOD) image, or one without a car; None if the weights
            have no OOD detector (see `ImageModel.familiarity`) and no car is missing.
        car_found: whether a car was found; None where none was looked for.
        box: around the car that `guesses` are of; None where the whole image was classified.
        cars: if all cars were asked for and there are several: all of them, the largest one first.
    """

    guesses: tuple[Guess, ...]
    familiar: bool | None = None
    car_found: bool | None = None
    box: Box | None = None
    cars: tuple[Car, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; what is of cars only where cars were looked for."""
        content: dict[str, Any] = {"familiar": self.familiar, "guesses": _plain(self.guesses)}
        if self.car_found is not None:
            content |= {"car_found": self.car_found, "box": self.box}
        if self.cars:
            content["cars"] = [{"box": car.box, "guesses": _plain(car.guesses)} for car in self.cars]
        return content


def _plain(guesses: tuple[Guess, ...]) -> list[dict[str, Any]]:
    return [{"name": guess.name, "probability": guess.probability} for guess in guesses]


@dataclass(frozen=True, slots=True, repr=False)
class Prediction:
    """The prediction for one image.

    Attributes:
        path: path of the image; None for one that is not a file, such as an array.
        guesses, familiar, car_found, box, cars: as in `Answer`.
    """

    path: Path | None
    guesses: tuple[Guess, ...]
    familiar: bool | None = None
    car_found: bool | None = None
    box: Box | None = None
    cars: tuple[Car, ...] = ()

    @property
    def answer(self) -> Answer:
        """All but the path."""
        return Answer(
            guesses=self.guesses,
            familiar=self.familiar,
            car_found=self.car_found,
            box=self.box,
            cars=self.cars,
        )

    @classmethod
    def of(cls, path: Path | None, answer: Answer) -> Prediction:
        """Return the prediction with this answer."""
        return cls(path, answer.guesses, answer.familiar, answer.car_found, answer.box, answer.cars)

    def __repr__(self) -> str:
        first = self.guesses[0] if self.guesses else None
        shown = "nothing" if first is None else f"{first.name} {first.probability:.1%}"
        doubt = f", {self._doubt}" if self._doubt else ""
        return f"Prediction({'image' if self.path is None else str(self.path)}: {shown}{doubt})"

    @property
    def _doubt(self) -> str:
        """What speaks against the classes; empty if nothing does."""
        if self.car_found is False:
            return "no car found"
        return "unfamiliar image" if self.familiar is False else ""

    def _repr_html_(self) -> str:
        """Return the image, if it is a file, beside a table of its classes."""
        from lightcars.models.inline import embedded

        rows = [(guess.name, f"{guess.probability:.1%}") for guess in self.guesses]
        table = html_table(("class", "probability"), rows, right=["probability"], title=self._doubt)
        for number, car in enumerate(self.cars[1:], start=2):
            others = [(guess.name, f"{guess.probability:.1%}") for guess in car.guesses]
            table += html_table((f"car {number}", "probability"), others, right=["probability"])
        try:
            source = None if self.path is None else embedded(self.path, SIDE)
        except DataError:
            source = None
        name = "" if self.path is None else escape(str(self.path))
        image = f'<img src="{source}" alt="{name}">' if source else name
        return f'<div style="display: flex; gap: 1rem; align-items: center">{image}<div>{table}</div></div>'

    def to_plain(self) -> dict[str, Any]:
        """Return the prediction for an image file as plain data for JSON."""
        return {"image": str(self.path), **self.answer.to_dict()}
