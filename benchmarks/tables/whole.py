"""Markdown tables of whole photographs, for docs/cars196.md. Imports no torch."""

from __future__ import annotations

from typing import Any

from benchmarks.tables.cars import of_tags, origins
from benchmarks.tables.speed import Records, markdown, not_yet, origin

NAME = "whole_photographs"
KINDS = {
    "no cars, trained with": "no cars, photographs that the finder was trained with",
    "no cars, others": "no cars, other photographs",
    "details": "parts of cars (grille, wheel, mirror, ...)",
    "other vehicles": "trucks, buses, tractors, ...",
    "cars": "cars",
}
"""Kind of images in the results -> its name in the table, in order."""
LEVELS = {"make": "make", "model": "make and model", "full": "make, model, body and year"}


def ways(found: Records) -> str:
    """Return the accuracy and the time of each way to find the car."""
    record = found.get(NAME)
    if record is None:
        return not_yet(NAME)
    rows = []
    for name, row in record["results"]["ways"].items():
        tops = [f"{row[kind]['top1_percent']:.1f} %" for kind in ("composites", "whole")]
        shared = [f"{row[kind]['overlap']:.2f}" for kind in ("composites", "whole")]
        time = f"{row['passes']:.3g}" if "passes" in row else ""
        rows.append([name, tops[0], shared[0], tops[1], shared[1], time])
    sizes = record["images"]
    head = (
        "way",
        f"{sizes['composites']} composites: top-1",
        "overlap",
        f"{sizes['whole']} whole photographs: top-1",
        "overlap",
        "time in forward passes",
    )
    slow = f"\nThe row with 134 crops was measured on {record['slow_images']} images of each kind.\n"
    return markdown(head, rows) + slow + origin(found, NAME)


def told(found: Records) -> str:
    """Return how often no car is found, in images of `val` and of ImageNet's classes."""
    record = found.get(NAME)
    if record is None:
        return not_yet(NAME)
    results: dict[str, Any] = record["results"]["finder"]
    rows = [
        [name, f"{results['imagenet'][kind]['images']}", f"{results['imagenet'][kind]['told_percent']:.1f} %"]
        for kind, name in KINDS.items()
    ]
    rows.append(["`val`, cut to the cars", "968", f"{results['val_refused_percent']:.1f} %"])
    return markdown(("images", "number", '"no car found"'), rows) + origin(found, NAME)


def levels(found: Records) -> str:
    """Return the accuracy at each level of the names."""
    records = of_tags(found, NAME)
    if not records:
        return not_yet(NAME)
    rows = [
        [f"`{tag}`", LEVELS[level], *(f"{row[kind]:.1f} %" for kind in ("val", "composites", "whole"))]
        for tag, record in records.items()
        for level, row in record["results"]["levels"].items()
    ]
    head = ("weights", "level", "`val`, cut", "composites", "whole photographs")
    return markdown(head, rows, texts=2) + origins(found, NAME)


def several(found: Records) -> str:
    """Return how many of several cars are found and named, in sentences."""
    record = found.get(NAME)
    if record is None or "several" not in record["results"]:
        return not_yet(NAME)
    row = record["results"]["several"]
    return (
        f"In {row['images']} composites of two or three cars of `val`, {row['found_percent']:.1f} % of the"
        f" {row['cars']} cars are found. Of these, {row['named_percent_of_found']:.1f} % are\nnamed right"
        f" (cut to their true boxes: {row['named_percent_when_cut']:.1f} %)."
        f" {row['boxes_without_a_car']} of the found boxes are not those of a car.\n"
    )


def finding(found: Records) -> str:
    """Return what the finder costs on images that are cut already, and the calibration, in sentences."""
    record = found.get(NAME)
    if record is None:
        return not_yet(NAME)
    finder, errors = record["results"]["finder"], record["results"]["calibration"]
    val, whole, composites = (
        f"{100 * errors[f'{kind}_error']:.1f} %" for kind in ("val", "whole", "composites")
    )
    return (
        f"Top-1 on `val` is {finder['val_found_top1_percent']:.2f} % with the finder and"
        f" {finder['val_cut_top1_percent']:.2f} % with `--cut`. The expected calibration error is\n{val} on"
        f" `val`, {whole} on the whole photographs and {composites} on composites, where"
        f" {record['images']['composites'] // 2} alone give a few percent.\n"
    )
