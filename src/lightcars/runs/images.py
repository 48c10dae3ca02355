"""Which images a run was started with, so that resuming on others is refused.

`run.json` keeps a digest for each split. While the run is unfinished, `images.csv` beside its first weights
keeps the list itself, so that a mismatch can be named.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from lightcars.data.layouts import DatasetRecords, Sample
from lightcars.errors import DataError
from lightcars.files import write_text
from lightcars.runs.description import DataDescription
from lightcars.runs.folder import RunFolder

ImageKey: TypeAlias = tuple[str, int, int]
"""Path below the data folder, size in bytes (-1: there is no file), label."""

LIST_FILE = "images.csv"
SHOWN = 3
"""Differences that a message names."""


def image_keys(records: DatasetRecords) -> dict[str, list[ImageKey]]:
    """Split -> its images, in order. Only names and sizes are looked up; no image is read."""
    return {
        split: [_key(sample, records.root) for sample in samples] for split, samples in records.splits.items()
    }


def digests(keys: Mapping[str, Sequence[ImageKey]]) -> dict[str, str]:
    """Split -> SHA-256 over its images."""
    return {split: hashlib.sha256(repr(list(images)).encode()).hexdigest() for split, images in keys.items()}


def write_list(folder: Path, keys: Mapping[str, Sequence[ImageKey]]) -> None:
    """Write `images.csv` into `folder`."""
    buffer = io.StringIO()
    rows = ((split, *key) for split, images in keys.items() for key in images)
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    write_text(folder / LIST_FILE, buffer.getvalue())


def read_list(folder: Path) -> dict[str, list[ImageKey]]:
    """Read `images.csv` back; empty if it is missing or damaged, as it only serves messages."""
    found: dict[str, list[ImageKey]] = {}
    try:
        with (folder / LIST_FILE).open(newline="", encoding="utf-8") as file:
            for split, name, size_bytes, label in csv.reader(file):
                found.setdefault(split, []).append((name, int(size_bytes), int(label)))
    except (OSError, ValueError, csv.Error):
        return {}
    return found


def check_same_images(
    data: str | Path,
    run: RunFolder,
    before: DataDescription,
    records: DatasetRecords,
    classes: tuple[str, ...] | None,
) -> None:
    """Check that a run is resumed on the data that it was started with.

    Args:
        data: as the user named it.
        run: the run folder.
        before: the data that it was started with. Older runs have no digests: then only the counts count.
        records: the data now.
        classes: the run's class names.

    Raises:
        DataError: other classes or images; the first differences are named.
    """
    counts, then = records.num_images, dict(before.num_images)
    reason = f"{counts}, then {then}" if counts != then else "its classes are others"
    if classes == records.classes:
        keys = image_keys(records)
        found = digests(keys)
        changed = [split for split in before.num_images if found.get(split) != before.digests.get(split)]
        if counts == then and not (changed and before.digests):
            return
        listed = read_list(run.initial)
        named = [
            difference
            for split in changed
            if split in listed
            for difference in differences(listed[split], keys.get(split, ()), records.classes)
        ]
        reason = "; ".join([reason] * (counts != then) + named[:SHOWN]) or f"other images of {changed[0]}"
    raise DataError(f"{data} is not the data that {run.path} was started with ({reason}).")


def differences(
    before: Sequence[ImageKey], now: Sequence[ImageKey], classes: Sequence[str]
) -> tuple[str, ...]:
    """Name the first differences between two lists of images."""
    then, here = ({name: (size, label) for name, size, label in keys} for keys in (before, now))
    found: list[str] = []
    for name, (size_bytes, label) in then.items():
        if name not in here:
            found.append(f"{name} is missing")
        elif here[name][1] != label:
            found.append(f"{name} was {classes[label]} and is {classes[here[name][1]]}")
        elif here[name][0] != size_bytes:
            found.append(f"{name} has {_size(here[name][0])}, not {size_bytes}")
        if len(found) == SHOWN:
            return tuple(found)
    found += [f"{name} is new" for name in here if name not in then]
    return tuple(found[:SHOWN]) or ("they are in another order",)


def _size(size_bytes: int) -> str:
    return "no file" if size_bytes < 0 else f"{size_bytes} bytes"


def _key(sample: Sample, root: Path) -> ImageKey:
    path = sample.path
    name = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    try:
        size_bytes = path.stat().st_size
    except OSError:
        size_bytes = -1
    return name.as_posix(), size_bytes, sample.label
