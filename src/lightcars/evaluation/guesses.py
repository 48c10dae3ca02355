"""The result of classifying one image. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

OWN_WEIGHTS = "lightcars/ghostnet_thesis.cars196"
"""Weights for Stanford Cars that ship with the package; the full tag, which no folder has as its name."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A class and its probability."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
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

    def to_plain(self) -> dict[str, Any]:
        """Return the prediction for an image file as plain data for JSON."""
        return {
            "image": str(self.path),
            "familiar": self.familiar,
            "guesses": [{"name": guess.name, "probability": guess.probability} for guess in self.guesses],
        }
