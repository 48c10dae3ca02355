"""Splitting validation images from the training images."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lightcars.data.records import DatasetRecords, Sample
from lightcars.errors import DataError

VALIDATION_FRACTION = 0.12


def with_validation(data: DatasetRecords, seed: int, fraction: float = VALIDATION_FRACTION) -> DatasetRecords:
    """Return the data with a validation split, taken from the training images if there is none.

    Of each class `fraction` of the images (at least one if it has two) goes to `val`. The choice depends on
    the seed and the file names alone.
    """
    if "val" in data.splits:
        return data
    train, val = split_stratified(data.split("train"), seed, fraction)
    if not val:
        raise DataError(
            f"{data.root} has too few images per class for a validation split; give each class at least two,"
            " or add val/."
        )
    validated = {sample.label for sample in val}
    single = [name for label, name in enumerate(data.classes) if label not in validated]
    notes = data.notes
    if single:
        verb = "class has" if len(single) == 1 else "classes have"
        notes += (f"{len(single)} {verb} too few images to be in the validation split (first: {single[0]})",)
    splits = {**data.splits, "train": train, "val": val}
    return replace(data, splits=splits, validation_seed=seed, notes=notes)


def split_stratified(
    samples: Sequence[Sample], seed: int, fraction: float
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Split `samples` into two parts, the second with `fraction` of each class; both keep the order."""
    by_class: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_class[sample.label].append(sample)
    chosen: set[Path] = set()
    for label in sorted(by_class):
        members = sorted(by_class[label], key=lambda sample: (sample.path.parent.name, sample.path.name))
        number = max(1, round(len(members) * fraction)) if len(members) > 1 else 0
        random.Random(f"{seed}/{label}").shuffle(members)
        chosen.update(member.path for member in members[:number])
    kept = tuple(sample for sample in samples if sample.path not in chosen)
    return kept, tuple(sample for sample in samples if sample.path in chosen)
