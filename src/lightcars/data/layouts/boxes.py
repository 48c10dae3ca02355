"""Tables with the boxes of images in class folders.

Every row is matched to the image that it names, and must agree with the class of its folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lightcars.data.layouts.folders import known_classes
from lightcars.data.layouts.tables import box_of, named_rows, rows, whole_number
from lightcars.data.records import Box, Sample, Split
from lightcars.data.stanford_cars import class_index
from lightcars.errors import DataError

ANNOTATIONS_FILE = "annotations.csv"
ANNOTATIONS_HEAD = ("path", "class", "x1", "y1", "x2", "y2")
NAMES_FILE = "names.csv"

Splits = dict[Split, tuple[Sample, ...]]
_Row = tuple[str, Path, int, Box | None]
"""Position of the row, for errors; path, label and box."""


def listed_classes(folders: Sequence[Path]) -> tuple[str, ...] | None:
    """Return the classes listed in `names.csv`, one a row, if it exists beside `anno_*.csv`."""
    for folder in folders:
        if (folder / NAMES_FILE).is_file() and any(folder.glob("anno_*.csv")):
            # A class name with a comma may be unquoted.
            names = [", ".join(values) for _, values in rows(folder / NAMES_FILE)]
            return known_classes(names) if names else None
    return None


def add_boxes(
    splits: Splits, home: Path, root: Path, classes: tuple[str, ...]
) -> tuple[Splits, tuple[str, ...]]:
    """Return the samples with the boxes of `annotations.csv` or `anno_<split>.csv`, and notes.

    Args:
        splits: the samples of the class folders.
        home: the folder with the splits.
        root: the folder above it, or the same.
        classes: class names, by label.

    Raises:
        DataError: a row is invalid, names a missing image or one twice, or gives it another class.
    """
    annotations = home / ANNOTATIONS_FILE
    if annotations.is_file():
        boxes = _matched(_own_rows(annotations, classes), splits, classes)
        return {split: _with_boxes(samples, boxes) for split, samples in splits.items()}, ()
    boxed, notes = dict(splits), []
    for split, samples in splits.items():
        table = next(
            (f / f"anno_{split}.csv" for f in (home, root) if (f / f"anno_{split}.csv").is_file()), None
        )
        if table is not None:
            boxes = _matched(_kaggle_rows(table, samples, classes), {split: samples}, classes)
            boxed[split] = _with_boxes(samples, boxes)
            without = sum(sample.box is None for sample in boxed[split])
            if without:
                notes.append(f"{without} images of {split} have no box in {table}")
    return boxed, tuple(notes)


def _with_boxes(samples: Sequence[Sample], boxes: Mapping[Path, Box | None]) -> tuple[Sample, ...]:
    return tuple(replace(sample, box=boxes.get(sample.path)) for sample in samples)


def _matched(
    table: Iterator[_Row], splits: Mapping[Split, Sequence[Sample]], classes: tuple[str, ...]
) -> dict[Path, Box | None]:
    labels = {sample.path: sample.label for samples in splits.values() for sample in samples}
    boxes: dict[Path, Box | None] = {}
    for where, path, label, box in table:
        if path not in labels:
            raise DataError(f"{where} lists {path}, which does not exist; the copy may be incomplete.")
        if labels[path] != label:
            raise DataError(
                f"{where} says {path.name} is a {classes[label]}, its folder says {classes[labels[path]]}."
            )
        if path in boxes:
            raise DataError(f"{where} lists {path} again; remove one of the rows.")
        boxes[path] = box
    return boxes


def _own_rows(table: Path, classes: tuple[str, ...]) -> Iterator[_Row]:
    columns = {name: (name,) for name in ANNOTATIONS_HEAD}
    for where, row in named_rows(table, columns, ANNOTATIONS_HEAD):
        try:
            label = class_index(row["class"], classes)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        box = box_of([row[edge] for edge in ("x1", "y1", "x2", "y2")], where)
        yield where, table.parent / row["path"], label, box


def _kaggle_rows(table: Path, samples: Sequence[Sample], classes: tuple[str, ...]) -> Iterator[_Row]:
    """Read rows of file name, left, top, right, bottom, class from 1 in the order of names.csv."""
    by_class = {(sample.label, sample.path.name): sample.path for sample in samples}
    by_name = {sample.path.name: sample.path for sample in samples}
    folder = samples[0].path.parent.parent if samples else table.parent
    for where, values in rows(table):
        if len(values) != 6:
            raise DataError(f"{where} has {len(values)} values instead of six (file, x1, y1, x2, y2, class).")
        name, number = values[0], whole_number(values[5], where, "the class")
        if not 1 <= number <= len(classes):
            raise DataError(f"{where}: class {number} is not one of 1 to {len(classes)}.")
        path = by_class.get((number - 1, name)) or by_name.get(name) or folder / name
        yield where, path, number - 1, box_of(values[1:5], where)
