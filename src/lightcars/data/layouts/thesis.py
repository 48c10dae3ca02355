"""The layout of the GhostNet thesis: `train/` and `train_labels.csv`, the same for `test/`.

    train/000001.jpg ...
    train_labels.csv    image_fname,class,bbox_x1,bbox_y1,bbox_x2,bbox_y2,class_name

Columns are found by their names. `class` is from 1, as in the thesis; `label` from 0. Label and
box of a row belong to the file that the row names; the order of rows does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lightcars.data.layouts.folders import check_present, own_classes, unannotated, unnested
from lightcars.data.layouts.tables import box_of, named_rows, whole_number
from lightcars.data.records import Box, DatasetRecords, Sample, Split
from lightcars.data.stanford_cars import CLASS_NAMES, class_index
from lightcars.errors import DataError

NAME = "train_labels.csv"
_SPLITS: tuple[Split, ...] = ("train", "val", "test")
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "file": ("image_fname", "filename", "file_name", "fname", "image", "file", "path"),
    "class": ("class",),
    "label": ("label",),
    "name": ("class_name",),
    "x1": ("bbox_x1", "x1", "xmin"),
    "y1": ("bbox_y1", "y1", "ymin"),
    "x2": ("bbox_x2", "x2", "xmax"),
    "y2": ("bbox_y2", "y2", "ymax"),
}


def recognizes(root: Path) -> bool:
    """Return whether `root` has this layout."""
    return (root / "train").is_dir() and _table(root, "train").is_file()


def read(root: Path) -> DatasetRecords:
    """Read the images of the tables.

    Raises:
        DataError: an image is missing, listed twice or of an unknown class, or a table is invalid.
    """
    classes = own_classes(root) or CLASS_NAMES
    splits: dict[Split, tuple[Sample, ...]] = {}
    notes: tuple[str, ...] = ()
    for split in _SPLITS:
        table, folder = _table(root, split), unnested(root / split)
        if table.is_file():
            splits[split] = _labeled(table, folder, classes)
            notes += unannotated(splits[split], folder)
        elif folder.is_dir():
            notes += (f"{folder} is not used: {table.name} is missing",)
    return DatasetRecords(root=root, layout=NAME, classes=classes, splits=splits, notes=notes)


def _table(root: Path, split: str) -> Path:
    return root / f"{split}_labels.csv"


def _labeled(table: Path, folder: Path, classes: tuple[str, ...]) -> tuple[Sample, ...]:
    samples: dict[Path, Sample] = {}
    for where, row in named_rows(table, _COLUMNS, ["file"]):
        path = folder / Path(row["file"]).name
        if path in samples:
            raise DataError(f"{where} lists {path.name} again; remove one of the rows.")
        samples[path] = Sample(path, _label(row, where, classes), _box(row, where))
    if not samples:
        raise DataError(f"{table} lists no images.")
    found = tuple(samples.values())
    check_present(found, folder)
    return found


def _label(row: Mapping[str, str], where: str, classes: tuple[str, ...]) -> int:
    """Return the label, from the number, the name or both; then they must agree."""
    labels: dict[str, int] = {}
    for column, first in (("class", 1), ("label", 0)):
        text = row.get(column, "")
        if text and not text.lstrip("-").replace(".", "", 1).isdigit():
            labels[column] = _by_name(text, where, classes)
        elif text:
            labels[column] = whole_number(text, where, column) - first
            if not 0 <= labels[column] < len(classes):
                last = len(classes) - 1 + first
                raise DataError(f"{where}: {column} {text} is not one of {first} to {last}.")
    if row.get("name"):
        labels["class_name"] = _by_name(row["name"], where, classes)
    if not labels:
        raise DataError(f"{where} has no class.")
    if len(set(labels.values())) > 1:
        values = ", ".join(f"{column} is {classes[label]}" for column, label in labels.items())
        raise DataError(f"{where} contradicts itself: {values}.")
    return next(iter(labels.values()))


def _by_name(name: str, where: str, classes: tuple[str, ...]) -> int:
    try:
        return class_index(name, classes)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _box(row: Mapping[str, str], where: str) -> Box | None:
    return box_of([row.get(edge, "") for edge in ("x1", "y1", "x2", "y2")], where)
