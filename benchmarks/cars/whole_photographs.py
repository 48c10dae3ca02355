"""How well are cars named in whole photographs, and which way of finding them is best?

Method: composites of `val` (the car fills 20 to 60 % of the picture, off-center, on photographs without cars
that the finder was not trained with), and the uncut photographs in `whole/`. Each way returns boxes; of
several the one with the highest probability counts. "cut" is the same car cut to its true box. "overlap" is
the intersection over union of the box with the true one. "passes" is the time per image relative to one
forward pass of the classifier, batch 1, both in turns; the resizing of images is in it.

Then, for the finder that ships: `val` as it is, with and without it; images without cars, of ImageNet's
classes; calibration; the accuracy of makes and of models.

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

from benchmarks.harness.composites import Box, composite_of
from benchmarks.harness.finding import Way, crop, ways_of
from benchmarks.harness.ratios import rounded, table
from benchmarks.harness.record import RESULTS, write
from benchmarks.harness.vehicles import halves, kind_of
from lightcars.data.car_names import LEVELS
from lightcars.data.class_matching import folder_name
from lightcars.data.layouts import find_data
from lightcars.data.pixels import normalize, to_pixels
from lightcars.evaluation.finding import find_cars, shipped_finder
from lightcars.evaluation.metrics import calibration_error
from lightcars.evaluation.naming import Naming
from lightcars.evaluation.temperature import fit_temperature
from lightcars.models.boxes import overlaps
from lightcars.models.car_finder import CarFinder
from lightcars.models.images import read_image, without_advice
from lightcars.models.transforms import fit_square
from lightcars.runs.trained import TrainedModel, load_trained

BATCH_SIZE = 64
BINS = 15
SEED = 1
TIMED = 20
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


def composites(data: Path, photographs: Path, count: int) -> list[Labeled]:
    samples = find_data(data).split("val")
    _, judged = halves(photographs.glob("*.webp"))
    backgrounds = [path for path in judged if kind_of(path) == "no cars"]
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
    right, shared = [], []
    for each in images:
        boxes = way(each.image)
        probabilities = logits_of(trained, [crop(each.image, box) for box in boxes]).softmax(1)
        best = int(probabilities.amax(1).argmax())
        right.append(int(probabilities[best].argmax()) == each.label)
        shared.append(float(overlaps(np.array([boxes[best]]), np.array(each.box))[0]))
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


def compared(trained: TrainedModel, finder: CarFinder, sets: dict[str, list[Labeled]], quick: int) -> Any:
    """Return the metrics of each way; the slow one on the first `quick` composites."""
    results: dict[str, Any] = {}
    ways = ways_of(trained, load_trained("imagenet"), finder)
    for name, images in sets.items():
        cuts = logits_of(trained, [crop(each.image, each.box) for each in images]).argmax(1)
        right = [int(cut) == each.label for cut, each in zip(cuts, images, strict=True)]
        results.setdefault("cut to the true box", {})[name] = {"top1_percent": percent(right), "overlap": 1.0}
    for way_name, way in tqdm(ways.items()):
        results[way_name] = {
            name: measured(trained, way, images[:quick] if way_name.startswith("134") else images)
            for name, images in sets.items()
        }
        results[way_name]["passes"] = passes(trained, way, sets["whole"])
    return results


def shipped_way(finder: CarFinder, image: Image.Image) -> Image.Image:
    """Return what `predict` classifies."""
    found = find_cars(finder, image)
    return image.crop(found[0].box) if found else image


def finding(trained: TrainedModel, finder: CarFinder, data: Path, photographs: Path) -> dict[str, Any]:
    """Return what the finder does with `val` as it is, and with images of each ImageNet class."""
    samples = find_data(data).split("val")
    images = [read_image(sample.path, 3) for sample in samples]
    labels = np.array([sample.label for sample in samples])
    found = [bool(find_cars(finder, image)) for image in images]
    cut, with_finder = (
        percent(logits_of(trained, views).argmax(1).numpy() == labels)
        for views in (images, [shipped_way(finder, image) for image in images])
    )
    kinds: dict[str, list[bool]] = {}
    trained_with, judged = halves(photographs.glob("*.webp"))
    for half, paths in (("trained with", trained_with), ("others", judged)):
        for path in paths:
            kind = kind_of(path)
            name = f"{kind}, {half}" if kind == "no cars" else kind
            kinds.setdefault(name, []).append(bool(find_cars(finder, read_image(path, 3))))
    return {
        "val_cut_top1_percent": cut,
        "val_found_top1_percent": with_finder,
        "val_refused_percent": percent(~np.array(found)),
        "imagenet": {
            name: {"images": len(flags), "told_percent": percent(~np.array(flags))}
            for name, flags in kinds.items()
        },
    }


def calibration(trained: TrainedModel, finder: CarFinder, sets: dict[str, list[Labeled]]) -> dict[str, Any]:
    """Return the calibration error on what the finder cuts, with two temperatures, and familiar shares.

    The second temperature is fitted to every second composite; the error is that of the other ones.
    """
    views = {name: [shipped_way(finder, each.image) for each in images] for name, images in sets.items()}
    logits = {name: logits_of(trained, images) for name, images in views.items()}
    labels = {name: torch.tensor([each.label for each in images]) for name, images in sets.items()}
    refitted = fit_temperature(logits["composites"][::2], labels["composites"][::2])
    results: dict[str, Any] = {
        "temperature": trained.model.temperature,
        "refitted_temperature": rounded(refitted),
    }
    for name, temperature in (("error", trained.model.temperature), ("refitted_error", refitted)):
        for kind, part in (("composites", slice(1, None, 2)), ("whole", slice(None))):
            probabilities = (logits[kind][part].double() / temperature).softmax(1)
            confidences, guesses = probabilities.max(1)
            hits = (guesses == labels[kind][part]).numpy()
            results[f"{kind}_{name}"] = rounded(calibration_error(confidences.numpy(), hits, BINS))
    if trained.model.familiarity is not None:
        for kind, images in views.items():
            results[f"{kind}_familiar_percent"] = percent(familiar(trained, images))
    return results


@torch.inference_mode()
def familiar(trained: TrainedModel, images: Sequence[Image.Image]) -> list[bool]:
    fit, model, found = fit_square(trained.preprocessing), trained.model, []
    assert model.familiarity is not None
    for image in images:
        maps = model.features(normalize(to_pixels(fit(image))[None], trained.preprocessing))
        found.append(bool(model.familiarity.is_familiar(maps)))
    return found


def levels(
    trained: TrainedModel, finder: CarFinder, data: Path, sets: dict[str, list[Labeled]]
) -> dict[str, Any]:
    """Return top-1 in percent at each level, of `val` as it is, and of what the finder cuts."""
    samples = find_data(data).split("val")
    images = {"val": [read_image(sample.path, 3) for sample in samples]}
    labels = {"val": [sample.label for sample in samples]}
    for name, each in sets.items():
        images[name] = [shipped_way(finder, one.image) for one in each]
        labels[name] = [one.label for one in each]
    results: dict[str, Any] = {}
    for name, views in images.items():
        probabilities = trained.probabilities(logits_of(trained, views))
        for level in LEVELS:
            naming = Naming(trained.classes, level)
            own = Naming(trained.classes, level).summed(torch.eye(len(trained.classes))[labels[name]])
            right = naming.summed(probabilities).argmax(1) == own.argmax(1)
            results.setdefault(level, {})[name] = percent(right.numpy())
    return results


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--data", type=Path, required=True, help="Stanford Cars, cut to the boxes, with whole/"
    )
    options.add_argument("--photographs", type=Path, required=True, help="an image per class of ImageNet")
    options.add_argument("--weights", default="cars196")
    options.add_argument("--composites", type=int, default=300)
    options.add_argument("--slow-composites", type=int, default=60, help="for the way with 134 crops")
    options.add_argument("--out", type=Path, default=RESULTS / "whole_photographs.json")
    arguments = options.parse_args()
    trained, finder = load_trained(arguments.weights, "cpu"), shipped_finder(torch.device("cpu"))
    with without_advice():
        sets = {
            "composites": composites(arguments.data, arguments.photographs, arguments.composites),
            "whole": whole_photographs(arguments.data, trained.classes),
        }
        ways = compared(trained, finder, sets, arguments.slow_composites)
        rows = [
            [
                name,
                *(f"{row[kind][key]:.4g}" for kind in sets for key in ("top1_percent", "overlap")),
                row.get("passes", ""),
            ]
            for name, row in ways.items()
        ]
        print(
            table(
                ["way", *(f"{kind}: {key}" for kind in sets for key in ("top-1 %", "overlap")), "passes"],
                rows,
            )
        )
        results = {
            "ways": ways,
            "finder": finding(trained, finder, arguments.data, arguments.photographs),
            "calibration": calibration(trained, finder, sets),
            "levels": levels(trained, finder, arguments.data, sets),
        }
    write(
        arguments.out,
        "whole_photographs",
        weights=str(arguments.weights),
        images={name: len(images) for name, images in sets.items()},
        slow_composites=arguments.slow_composites,
        results=results,
    )


if __name__ == "__main__":
    main()
