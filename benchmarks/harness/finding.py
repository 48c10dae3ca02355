"""Ways to find the car in an image before it is classified, to compare them. A way returns boxes to classify.

Boxes are left, top, right, bottom as fractions of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.harness.composites import Box
from lightcars.data.pixels import normalize, to_pixels
from lightcars.evaluation.finding import find_cars
from lightcars.models.car_finder import CarFinder
from lightcars.runs.trained import TrainedModel

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
CENTER: Box = (0.15, 0.15, 0.85, 0.85)
IMAGENET_CARS = (407, 436, 468, 479, 511, 581, 609, 627, 654, 656, 661, 717, 734, 751, 817, 864)
"""ambulance, beach wagon, cab, car wheel, convertible, grille, jeep, limousine, minibus, minivan, Model T,
pickup, police van, racer, sports car, tow truck."""
MANY_CROPS = "134 crops, the most certain one"
SHIPPED_WAY = "trained finder"
GRID = ((1.0, 1), (0.8, 3), (0.65, 4), (0.5, 4), (0.38, 5))
"""Size of crops as a fraction of the shorter side, and crops along each side."""
SHAPES = (1.0, 1.5)
"""Width to height of crops."""
Way = Callable[[Image.Image], list[Box]]


def grid(image: Image.Image) -> list[Box]:
    """Return crops of five sizes and two shapes, evenly placed: 134."""
    width, height = image.size
    found: list[Box] = []
    for size, steps in GRID:
        for shape in SHAPES:
            side = size * min(width, height)
            w, h = min(width, side * shape**0.5), min(height, side / shape**0.5)
            lefts, tops = np.linspace(0, width - w, steps), np.linspace(0, height - h, steps)
            found += [(x / width, y / height, (x + w) / width, (y + h) / height) for x in lefts for y in tops]
    return found


@torch.inference_mode()
def activation_box(imagenet: TrainedModel, image: Image.Image, *, side: int, level: float = 0.4) -> list[Box]:
    """Return the extent of the cells of the ImageNet classifier's last map that it takes for cars.

    Args:
        imagenet: its head is applied to each cell; the probabilities of car classes are summed.
        image: is squashed to a square.
        side: of that square.
        level: cells above this fraction of the highest sum belong to the car.
    """
    pixels = to_pixels(image.resize((side, side), Image.Resampling.BILINEAR))[None]
    last = imagenet.model.forward_features(normalize(pixels, imagenet.preprocessing))
    height, width = last.shape[2:]
    cells = imagenet.model.forward_head(last.permute(0, 2, 3, 1).reshape(-1, last.shape[1], 1, 1))
    heat = cells.softmax(1)[:, list(IMAGENET_CARS)].sum(1).reshape(1, 1, height, width)
    fine = F.interpolate(heat, scale_factor=8, mode="bilinear", align_corners=False)[0, 0]
    return [extent(fine >= level * fine.max())]


def extent(hot: Tensor) -> Box:
    """Return the box around what is True in (H, W)."""
    down, across = hot.any(1).nonzero()[:, 0], hot.any(0).nonzero()[:, 0]
    height, width = hot.shape
    first, last = (across[0].item(), down[0].item()), (across[-1].item() + 1, down[-1].item() + 1)
    return (first[0] / width, first[1] / height, last[0] / width, last[1] / height)


@torch.inference_mode()
def own_windows(trained: TrainedModel, image: Image.Image) -> list[Box]:
    """Return the most certain window of the car classifier's own last map, at twice its resolution."""
    side = 2 * trained.preprocessing.resolution // 32 * 32
    pixels = to_pixels(image.resize((side, side), Image.Resampling.BILINEAR))[None]
    last = trained.model.forward_features(normalize(pixels, trained.preprocessing))
    cells, best, box = last.shape[2], 0.0, WHOLE
    for width in (round(cells * part) for part in (0.45, 0.6, 0.8, 1)):
        for height in {width, max(1, round(width * 0.7))}:
            pooled = F.avg_pool2d(last, (height, width), 1)
            vectors = pooled.permute(0, 2, 3, 1).reshape(-1, pooled.shape[1], 1, 1)
            highest, place = trained.model.forward_head(vectors).softmax(1).amax(1).max(0)
            if float(highest) > best:
                top, left = divmod(int(place), pooled.shape[3])
                best = float(highest)
                box = (left / cells, top / cells, (left + width) / cells, (top + height) / cells)
    return [box]


@torch.inference_mode()
def finder_box(finder: CarFinder, image: Image.Image) -> list[Box]:
    """Return the box of the largest car, as `predict` finds it; the whole image where there is none."""
    cars = find_cars(finder, image)
    if not cars:
        return [WHOLE]
    left, top, right, bottom = cars[0].box
    return [(left / image.width, top / image.height, right / image.width, bottom / image.height)]


def twice(way: Way, image: Image.Image) -> list[Box]:
    """Look again inside the box that a way returns, enlarged by 15 % on each side."""
    outer = enlarged(way(image)[0], 0.15)
    inner = way(crop(image, outer))[0]
    width, height = outer[2] - outer[0], outer[3] - outer[1]
    left, top = outer[0] + inner[0] * width, outer[1] + inner[1] * height
    return [(left, top, outer[0] + inner[2] * width, outer[1] + inner[3] * height)]


def enlarged(box: Box, part: float) -> Box:
    """Move each side of a box outwards by a fraction of its width or height."""
    width, height = part * (box[2] - box[0]), part * (box[3] - box[1])
    return (
        max(0.0, box[0] - width),
        max(0.0, box[1] - height),
        min(1.0, box[2] + width),
        min(1.0, box[3] + height),
    )


def three_sizes(way: Way, image: Image.Image) -> list[Box]:
    """Return a way's box, and a larger and a smaller one."""
    box = way(image)[0]
    return [box, enlarged(box, 0.06), enlarged(box, -0.06)]


def crop(image: Image.Image, box: Box) -> Image.Image:
    """Cut a box out of an image."""
    left, right = (round(box[side] * image.width) for side in (0, 2))
    top, bottom = (round(box[side] * image.height) for side in (1, 3))
    return image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))


def ways_of(trained: TrainedModel, imagenet: TrainedModel, finder: CarFinder) -> Mapping[str, Way]:
    """Return all ways by their names."""
    cam = partial(activation_box, imagenet, side=224)
    found = partial(finder_box, finder)
    return {
        SHIPPED_WAY: found,
        "the whole image": lambda _: [WHOLE],
        "center crop, 70 % of each side": lambda _: [CENTER],
        "car classes of ImageNet in the activation map, 224 px": cam,
        "the same, then again inside": partial(twice, cam),
        "the same at 448 px": partial(activation_box, imagenet, side=448),
        "the car classifier's own map in windows": partial(own_windows, trained),
        "trained finder, then again inside": partial(twice, found),
        "trained finder, three sizes, the most certain one": partial(three_sizes, found),
        "activation map, trained finder and whole image, the most certain one": lambda image: [
            *found(image),
            *cam(image),
            WHOLE,
        ],
        MANY_CROPS: grid,
    }
