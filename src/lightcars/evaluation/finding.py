"""Find the cars in an image, so that each is classified as the weights expect it: cut to its box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from lightcars.data.pixels import normalize, to_pixels
from lightcars.errors import ConfigError
from lightcars.evaluation.guesses import Answer, Box, Car, Guess
from lightcars.evaluation.options import PredictOptions
from lightcars.models.boxes import areas, separate, snap, to_pixel_box
from lightcars.models.car_finder import CarFinder
from lightcars.models.transforms import fit_square
from lightcars.runs.trained import TrainedModel
from lightcars.weights.car_finder import load_car_finder


@dataclass(frozen=True, slots=True)
class FoundCar:
    """A car in an image.

    Attributes:
        box: around it.
        score: from 0 to 1.
    """

    box: Box
    score: float


@lru_cache(maxsize=4)
def shipped_finder(device: torch.device) -> CarFinder:
    """Return the shipped finder; it is loaded once."""
    return load_car_finder(device)


def finder_for(trained: TrainedModel, options: PredictOptions) -> CarFinder | None:
    """Return the finder, if the car is to be found before it is classified.

    Raises:
        ConfigError: all cars are asked for where none is looked for.
    """
    cut = not trained.expects_cut_cars if options.cut is None else options.cut
    if not cut:
        return shipped_finder(trained.device)
    if options.all_cars:
        raise ConfigError(
            "all cars of an image are found for weights that were trained on cars cut to their boxes, and"
            " without cut=True; for other weights set cut=False (--no-cut)."
        )
    return None


@torch.inference_mode()
def find_cars(finder: CarFinder, image: Image.Image) -> list[FoundCar]:
    """Return the cars in an image, the largest one first; none if there are none."""
    pixels = to_pixels(fit_square(finder.preprocessing)(image.convert("RGB")))[None]
    device = next(finder.parameters()).device
    cells = finder(normalize(pixels.to(device), finder.preprocessing))[0].float().cpu().numpy()
    return cars_of(cells, image.size, finder.least_score)


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


def views_of(image: Image.Image, finder: CarFinder | None, *, all_cars: bool) -> Views:
    """Return the parts of an image that are classified.

    Args:
        image: all of it.
        finder: None if it is cut to its car already.
        all_cars: whether all cars are, or the largest one alone.
    """
    if finder is None:
        return Views((image,))
    boxes = tuple(car.box for car in find_cars(finder, image)[: None if all_cars else 1])
    return Views(tuple(image.crop(box) for box in boxes) or (image,), boxes, looked=True)


def as_channels(image: Image.Image, img_channels: int) -> Image.Image:
    """Return an RGB or grayscale image as the model takes it."""
    return image.convert("L" if img_channels == 1 else "RGB")
