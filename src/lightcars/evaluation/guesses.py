"""The result of classifying one image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
