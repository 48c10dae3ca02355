"""The result of classifying one image. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from lightcars.errors import DataError
from lightcars.tables import html_table

OWN_WEIGHTS = "lightcars/ghostnet_thesis.cars196"
"""Weights for Stanford Cars that ship with the package; the full tag, which no folder has as its name."""

SIDE = 224
"""Maximum pixels of an image in a notebook."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A class and its probability."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True, repr=False)
class Prediction:
    """The prediction for one image.

    Attributes:
        path: path of the image; None for one that is not a file, such as an array.
        guesses: the most likely classes, the most likely one first.
        familiar: False for an out-of-distribution (OOD) image; None if the weights have no OOD detector (see
            `ImageModel.familiarity`).
    """

    path: Path | None
    guesses: tuple[Guess, ...]
    familiar: bool | None = None

    def __repr__(self) -> str:
        first = self.guesses[0] if self.guesses else None
        shown = "nothing" if first is None else f"{first.name} {first.probability:.1%}"
        unfamiliar = ", unfamiliar image" if self.familiar is False else ""
        return f"Prediction({'image' if self.path is None else str(self.path)}: {shown}{unfamiliar})"

    def _repr_html_(self) -> str:
        """Return the image, if it is a file, beside a table of its classes."""
        from lightcars.models.inline import embedded

        rows = [(guess.name, f"{guess.probability:.1%}") for guess in self.guesses]
        title = "unfamiliar image" if self.familiar is False else ""
        table = html_table(("class", "probability"), rows, right=["probability"], title=title)
        try:
            source = None if self.path is None else embedded(self.path, SIDE)
        except DataError:
            source = None
        name = "" if self.path is None else escape(str(self.path))
        image = f'<img src="{source}" alt="{name}">' if source else name
        return f'<div style="display: flex; gap: 1rem; align-items: center">{image}<div>{table}</div></div>'

    def to_plain(self) -> dict[str, Any]:
        """Return the prediction for an image file as plain data for JSON."""
        return {
            "image": str(self.path),
            "familiar": self.familiar,
            "guesses": [{"name": guess.name, "probability": guess.probability} for guess in self.guesses],
        }
