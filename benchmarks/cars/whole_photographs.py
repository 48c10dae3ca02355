"""How well are cars named in whole photographs, and which way of finding them is best?

Method: composites of `val` (the car fills 20 to 60 % of the picture, off-center, on photographs without cars
that the finder was not trained with), and the uncut photographs in `whole/`. Each way returns boxes; of
several the one with the highest probability counts. "cut" is the same car cut to its true box. "overlap" is
the intersection over union of the box with the true one. "passes" is the time per image relative to one
forward pass of the classifier, batch 1, both in turns; the resizing of images is in it.

Then, for the finder that ships: `val` as it is, with and without it; images without cars, of ImageNet's
classes; composites of two or three cars of `val`, of all of which (`--all`) a car is found where the overlap
is above one half; calibration; the accuracy of makes and of models.

`python -m benchmarks.cars.whole_photographs --data cars196 --photographs imagenet1000` takes some minutes.

Reading: the standard error is 2.1 points of 300 composites at 84 %, and 3 points of the 45 whole photographs;
most of their cuts were trained on, so only the difference between cut and whole tells.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from benchmarks.harness.composites import Box, composite_of, several_cars
from benchmarks.harness.finding import MANY_CROPS, SHIPPED_WAY, Way, crop, ways_of
from benchmarks.harness.levels import levels
from benchmarks.harness.ratios import rounded, table
from benchmarks.harness.record import CARS196, out_of, write
from benchmarks.harness.vehicles import halves, kind_of
from lightcars.data.class_matching import folder_name
from lightcars.data.layouts import find_data
from lightcars.data.pixels import normalize, to_pixels
from lightcars.evaluation.finding import shipped_finder
from lightcars.evaluation.guesses import Box as PixelBox
from lightcars.evaluation.metrics import calibration_error
from lightcars.evaluation.temperature import fit_temperature
from lightcars.evaluation.views import cars_of
from lightcars.models.boxes import overlaps
from lightcars.models.car_finder import CarFinder
from lightcars.models.images import read_image, without_advice
from lightcars.models.transforms import fit_square
from lightcars.runs.trained import TrainedModel, load_trained

BATCH_SIZE = 64
BINS = 15
SEED = 1
STREETS = 150
"""Composites of several cars."""
MATCH = 0.5
"""A box with a larger overlap is that of the car."""
TRUE_BOX = "cut to the true box"
TIMED = 15
"""Images on which the time of a way is measured."""


@dataclass(frozen=True, slots=True)
class Labeled:
    """An image with a car: its class, and its box as fractions of the image."""

    image: Image.Image
    box: Box
    label: int


def labeled(image: Image.Image, box: Sequence[float], label: int) -> Labeled:
    width, height = image.size
    return Labeled(image, (box[0] / width, box[1] / height, box[2] / width, box[3] / height), label)


def backgrounds_in(photographs: Path) -> list[Path]:
    """Return the photographs without cars that the finder was not trained with."""
    _, judged = halves(photographs.glob("*.webp"))
    return [path for path in judged if kind_of(path) == "no cars"]


def composites(data: Path, photographs: Path, count: int) -> list[Labeled]:
    samples = find_data(data).split("val")
    backgrounds = backgrounds_in(photographs)
    made = []
    for index in np.random.default_rng(SEED).permutation(len(samples))[:count]:
        each = composite_of(samples[index], backgrounds, (SEED, int(index)))
        made.append(labeled(each.image, each.boxes[0], each.label))
    return made


def whole_photographs(data: Path, classes: Sequence[str]) -> list[Labeled]:
    labels = {folder_name(name): label for label, name in enumerate(classes)}
    found = []
    with (data / "whole" / "boxes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = folder_name(row["class"])
            image = read_image(data / "whole" / name / f"{row['number']}.webp", 3)
            found.append(labeled(image, [float(row[key]) for key in ("x1", "y1", "x2", "y2")], labels[name]))
    return found


@torch.inference_mode()
def logits_of(trained: TrainedModel, images: Sequence[Image.Image]) -> Tensor:
    fit, found = fit_square(trained.preprocessing), []
    for first in range(0, len(images), BATCH_SIZE):
        pixels = torch.stack([to_pixels(fit(image)) for image in images[first : first + BATCH_SIZE]])
        found.append(trained.model(normalize(pixels, trained.preprocessing)).float())
    return torch.cat(found)


def measured(trained: TrainedModel, way: Way, images: Sequence[Labeled]) -> dict[str, float]:
    """Return top-1 in percent, and the mean overlap."""
    boxes = [way(each.image) for each in images]
    views = [crop(each.image, box) for each, tried in zip(images, boxes, strict=True) for box in tried]
    probabilities = logits_of(trained, views).softmax(1).split([len(tried) for tried in boxes])
    right, shared = [], []
    for each, tried, rows in zip(images, boxes, probabilities, strict=True):
        best = int(rows.amax(1).argmax())
        right.append(int(rows[best].argmax()) == each.label)
        shared.append(float(overlaps(np.array([tried[best]]), np.array(each.box))[0]))
    return {"top1_percent": percent(right), "overlap": rounded(float(np.mean(shared)))}


def passes(trained: TrainedModel, way: Way, images: Sequence[Labeled]) -> float:
    """Return the time of a way with its classification, relative to a forward pass of one image."""
    ready = normalize(
        to_pixels(fit_square(trained.preprocessing)(images[0].image))[None], trained.preprocessing
    )
    ratios = []
    for each in images[:TIMED]:
        with torch.inference_mode():
            start = time.perf_counter()
            trained.model(ready)
            middle = time.perf_counter()
            logits_of(trained, [crop(each.image, box) for box in way(each.image)])
        ratios.append((time.perf_counter() - middle) / (middle - start))
    return rounded(median(ratios))


def percent(flags: Sequence[Any] | np.ndarray[Any, Any]) -> float:
    return rounded(100 * float(np.mean(flags)))


def on_true_boxes(trained: TrainedModel, images: Sequence[Labeled]) -> dict[str, float]:
    """Return top-1 in percent of cars that are cut to their true boxes."""
    guesses = logits_of(trained, [crop(each.image, each.box) for each in images]).argmax(1).tolist()
    right = [guess == each.label for guess, each in zip(guesses, images, strict=True)]
    return {"top1_percent": percent(right), "overlap": 1.0}


def found_in(finder: CarFinder, images: Sequence[Image.Image]) -> list[PixelBox | None]:
    """Return the box of the largest car of each image, as `predict` finds it, but in batches."""
    return [boxes[0] if boxes else None for boxes in all_found_in(finder, images)]


@torch.inference_mode()
def all_found_in(finder: CarFinder, images: Sequence[Image.Image]) -> list[list[PixelBox]]:
    """Return the boxes of all cars of each image, the largest one first."""
    fit, found = fit_square(finder.preprocessing), []
    for first in range(0, len(images), BATCH_SIZE):
        some = images[first : first + BATCH_SIZE]
        pixels = torch.stack([to_pixels(fit(image)) for image in some])
        cells = finder(normalize(pixels, finder.preprocessing)).numpy()
        for image, rows in zip(some, cells, strict=True):
            found.append([car.box for car in cars_of(rows, image.size, finder.least_score)])
    return found


@dataclass(frozen=True, slots=True)
class Cut:
    """Images as `predict` classifies them.

    Attributes:
        images: cut to the car that the finder found; whole where it found none.
        labels: (N,).
        found: whether it found one.
        logits: (N, num_classes).
    """

    images: list[Image.Image]
    labels: Tensor
    found: list[bool]
    logits: Tensor

    @classmethod
    def of(
        cls, trained: TrainedModel, finder: CarFinder, images: list[Image.Image], labels: list[int]
    ) -> Cut:
        boxes = found_in(finder, images)
        views = [image if box is None else image.crop(box) for image, box in zip(images, boxes, strict=True)]
        return cls(views, torch.tensor(labels), [box is not None for box in boxes], logits_of(trained, views))

    @property
    def top1_percent(self) -> float:
        return percent((self.logits.argmax(1) == self.labels).numpy())


@dataclass(frozen=True, slots=True)
class Street:
    """An image with several cars: their boxes, in pixels, and their classes."""

    image: Image.Image
    boxes: tuple[Box, ...]
    labels: tuple[int, ...]


def streets(data: Path, photographs: Path, count: int) -> list[Street]:
    """Return composites of two or three cars of `val`."""
    samples = find_data(data).split("val")
    backgrounds = backgrounds_in(photographs)
    made = []
    for index in range(count):
        rng = np.random.default_rng((SEED, index))
        background = read_image(backgrounds[int(rng.integers(len(backgrounds)))], 3)
        made.append(Street(*several_cars(samples, background, rng)))
    return made


def several(trained: TrainedModel, finder: CarFinder, images: Sequence[Street]) -> dict[str, Any]:
    """Return how many of several cars are found, and how many of the found ones are named right."""
    cars = matched = extra = found_right = cut_right = 0
    for street, boxes in zip(images, all_found_in(finder, [each.image for each in images]), strict=True):
        left = list(boxes)
        views: dict[str, list[Image.Image]] = {"found": [], "cut": []}
        labels: list[int] = []
        for box, label in zip(street.boxes, street.labels, strict=True):
            shared = overlaps(np.array(left, float).reshape(-1, 4), np.array(box, float))
            if len(left) and shared.max() > MATCH:
                labels.append(label)
                views["found"].append(street.image.crop(left.pop(int(shared.argmax()))))
                views["cut"].append(crop(street.image, labeled(street.image, box, label).box))
        cars, matched, extra = cars + len(street.boxes), matched + len(labels), extra + len(left)
        if labels:
            right = {
                kind: int((logits_of(trained, some).argmax(1) == torch.tensor(labels)).sum())
                for kind, some in views.items()
            }
            found_right, cut_right = found_right + right["found"], cut_right + right["cut"]
    return {
        "images": len(images),
        "cars": cars,
        "found_percent": rounded(100 * matched / cars),
        "named_percent_of_found": rounded(100 * found_right / max(1, matched)),
        "named_percent_when_cut": rounded(100 * cut_right / max(1, matched)),
        "boxes_without_a_car": extra,
    }


def told(finder: CarFinder, photographs: Path) -> dict[str, Any]:
    """Return in how many images of ImageNet's classes no car is found."""
    kinds: dict[str, list[Image.Image]] = {}
    for half, paths in zip(("trained with", "others"), halves(photographs.glob("*.webp")), strict=True):
        for path in paths:
            kind = kind_of(path)
            kinds.setdefault(f"{kind}, {half}" if kind == "no cars" else kind, []).append(read_image(path, 3))
    return {
        kind: {
            "images": len(images),
            "told_percent": percent([box is None for box in found_in(finder, images)]),
        }
        for kind, images in kinds.items()
    }


def calibration(trained: TrainedModel, cuts: dict[str, Cut]) -> dict[str, Any]:
    """Return the calibration error with two temperatures, and the share of familiar images.

    The second temperature is fitted to every second composite; the error is that of the other ones.
    """
    own, composite = trained.model.temperature, cuts["composites"]
    refitted = fit_temperature(composite.logits[::2], composite.labels[::2])
    results: dict[str, Any] = {"temperature": own, "refitted_temperature": rounded(refitted)}
    for kind, cut in cuts.items():
        part = slice(1, None, 2) if kind == "composites" else slice(None)
        for name, temperature in (("error", own), ("refitted_error", refitted)):
            confidences, guesses = (cut.logits[part].double() / temperature).softmax(1).max(1)
            hits = (guesses == cut.labels[part]).numpy()
            results[f"{kind}_{name}"] = rounded(calibration_error(confidences.numpy(), hits, BINS))
        if trained.model.familiarity is not None:
            results[f"{kind}_familiar_percent"] = percent(familiar(trained, cut.images))
    return results


@torch.inference_mode()
def familiar(trained: TrainedModel, images: Sequence[Image.Image]) -> list[bool]:
    fit, found = fit_square(trained.preprocessing), []
    assert trained.model.familiarity is not None
    for first in range(0, len(images), BATCH_SIZE):
        pixels = torch.stack([to_pixels(fit(image)) for image in images[first : first + BATCH_SIZE]])
        maps = trained.model.features(normalize(pixels, trained.preprocessing))
        found += trained.model.familiarity.is_familiar(maps).tolist()
    return found


def about_the_finder(
    trained: TrainedModel, sets: dict[str, list[Labeled]], data: Path, photographs: Path
) -> dict[str, Any]:
    """Return what the shipped finder does with all kinds of images."""
    finder = shipped_finder(torch.device("cpu"))
    samples = find_data(data).split("val")
    images, labels = [read_image(sample.path, 3) for sample in samples], [sample.label for sample in samples]
    val = Cut.of(trained, finder, images, labels)
    cuts = {
        kind: Cut.of(trained, finder, [each.image for each in some], [each.label for each in some])
        for kind, some in sets.items()
    }
    as_it_is = logits_of(trained, images)
    return {
        "finder": {
            "val_cut_top1_percent": percent((as_it_is.argmax(1) == val.labels).numpy()),
            "val_found_top1_percent": val.top1_percent,
            "val_refused_percent": percent(~np.array(val.found)),
            **{f"{kind}_refused_percent": percent(~np.array(cut.found)) for kind, cut in cuts.items()},
            "imagenet": told(finder, photographs),
        },
        "several": several(trained, finder, streets(data, photographs, STREETS)),
        "calibration": calibration(trained, {"val": val, **cuts}),
        "levels": levels(
            trained,
            {"val": (as_it_is, val.labels), **{kind: (cut.logits, cut.labels) for kind, cut in cuts.items()}},
        ),
    }


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--data", type=Path, required=True, help="Stanford Cars, cut to the boxes, with whole/"
    )
    options.add_argument("--photographs", type=Path, required=True, help="an image per class of ImageNet")
    options.add_argument("--weights", default=CARS196)
    options.add_argument("--composites", type=int, default=300)
    options.add_argument("--slow", type=int, default=30, help="images of each set for the way with 134 crops")
    options.add_argument(
        "--no-ways", action="store_true", help="only the way that ships, without a comparison"
    )
    options.add_argument("--out", type=Path)
    arguments = options.parse_args()
    out = out_of(options, arguments, "whole_photographs")
    trained = load_trained(arguments.weights, "cpu")
    settings = {
        "weights": str(arguments.weights),
        "images": {"composites": arguments.composites, "whole": 0},
        "slow_images": arguments.slow,
    }
    with without_advice():
        sets = {
            "composites": composites(arguments.data, arguments.photographs, arguments.composites),
            "whole": whole_photographs(arguments.data, trained.classes),
        }
        settings["images"] = {kind: len(images) for kind, images in sets.items()}
        results: dict[str, Any] = {
            "ways": {TRUE_BOX: {kind: on_true_boxes(trained, some) for kind, some in sets.items()}}
        }
        finder = shipped_finder(torch.device("cpu"))
        results |= about_the_finder(trained, sets, arguments.data, arguments.photographs)
        for name, way in tqdm(ways_of(trained, load_trained("imagenet"), finder).items()):
            if arguments.no_ways and name != SHIPPED_WAY:
                continue
            most = arguments.slow if name == MANY_CROPS else None
            row = {kind: measured(trained, way, images[:most]) for kind, images in sets.items()}
            results["ways"][name] = {**row, "passes": passes(trained, way, sets["whole"])}
            write(out, "whole_photographs", **settings, results=results)  # what is done is kept
    rows = [
        [name, *(f"{row[kind][key]:.4g}" for kind in sets for key in ("top1_percent", "overlap"))]
        for name, row in results["ways"].items()
    ]
    head = [f"{kind}: {key}" for kind in sets for key in ("top-1 %", "overlap")]
    print(table(["way", *head], rows))


if __name__ == "__main__":
    main()
