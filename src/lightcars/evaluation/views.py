"""The cars that a finder's output means, and the parts of an image that are classified. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightcars.evaluation.guesses import Answer, Box, Car, Guess
from lightcars.models.boxes import areas, separate, snap, to_pixel_box


@dataclass(frozen=True, slots=True)
class FoundCar:
    """A car in an image.

    Attributes:
        box: around it.
        score: from 0 to 1.
    """

    box: Box
    score: float


def cars_of(cells: NDArray[np.float32], size: tuple[int, int], least_score: float) -> list[FoundCar]:
    """Return the cars that a finder's output (N, 5) for an image of that width and height means."""
    found = separate(cells, least_score=least_score)
    boxes = snap(found[:, 1:])
    order = (-areas(boxes)).argsort(kind="stable")
    return [FoundCar(to_pixel_box(boxes[row], size), float(found[row, 0])) for row in order]


@dataclass(frozen=True, slots=True)
class Views:
    """The parts of an image that are classified.

    Attributes:
        images: the cars, the largest one first; the image itself where there is none or none was looked for.
        boxes: of the cars.
        looked: whether cars were looked for.
    """

    images: tuple[Image.Image, ...]
    boxes: tuple[Box, ...] = ()
    looked: bool = False

    def answer(self, guesses: list[tuple[Guess, ...]], familiar: list[bool | None]) -> Answer:
        """Return the answer for the image, from those for its parts."""
        found = bool(self.boxes) if self.looked else None
        cars = zip(self.boxes, guesses, strict=True) if len(self.boxes) > 1 else ()
        return Answer(
            guesses=guesses[0],
            familiar=False if found is False else familiar[0],
            car_found=found,
            box=self.boxes[0] if self.boxes else None,
            cars=tuple(Car(box, names) for box, names in cars),
        )


def as_channels(image: Image.Image, img_channels: int) -> Image.Image:
    """Return an RGB or grayscale image as the model takes it."""
    return image.convert("L" if img_channels == 1 else "RGB")
