"""Find the cars in an image, so that each is classified as the weights expect it: cut to its box."""

from __future__ import annotations

from functools import lru_cache

import torch
from PIL import Image

from lightcars.data.pixels import normalize, to_pixels
from lightcars.errors import ConfigError
from lightcars.evaluation.options import PredictOptions
from lightcars.evaluation.views import FoundCar, Views, cars_of
from lightcars.models.car_finder import CarFinder
from lightcars.models.transforms import fit_square
from lightcars.runs.trained import TrainedModel
from lightcars.weights.car_finder import load_car_finder


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
            "all cars are classified only where cars are searched for: not with cut=True, and for weights"
            " that"
            " were not trained on cropped cars only with cut=False (--no-cut)."
        )
    return None


@torch.inference_mode()
def find_cars(finder: CarFinder, image: Image.Image) -> list[FoundCar]:
    """Return the cars in an image, the largest one first; none if there are none."""
    pixels = to_pixels(fit_square(finder.preprocessing)(image.convert("RGB")))[None]
    device = next(finder.parameters()).device
    cells = finder(normalize(pixels.to(device), finder.preprocessing))[0].float().cpu().numpy()
    return cars_of(cells, image.size, finder.least_score)


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
