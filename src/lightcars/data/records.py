"""The content of a data set, whatever its layout: samples with labels and boxes, in named splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from lightcars.data.stanford_cars import CLASS_NAMES, OFFICIAL_IMAGES
from lightcars.errors import DataError

Region = Literal["whole", "box", "masked"]
REGIONS: tuple[Region, ...] = get_args(Region)
"""Regions of an image (see `regions.py`): all of it; cropped to the box (GhostNet thesis, C-10); the rest
painted white, at the same size (C-11)."""

Split = Literal["train", "val", "test"]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """One image.

    Attributes:
        path: path of the image file.
        label: class index, from 0.
        box: left, top, right, bottom of the object, if annotated: pixels of the upright image, from 1,
            inclusive, as in the devkit.
    """

    path: Path
    label: int
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecords:
    """A data set on disk.

    Attributes:
        root: the folder in which the layout was found: the given one, or the only folder in it.
        layout: name of the layout.
        classes: class names, by label.
        splits: the samples of each split.
        validation_seed: seed with which `val` was split from `train`; None if it came with the data.
        notes: one line for each thing that was not used, or is missing and would be of use.
    """

    root: Path
    layout: str
    classes: tuple[str, ...]
    splits: Mapping[Split, tuple[Sample, ...]]
    validation_seed: int | None = None
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of one split.

        Raises:
            DataError: there is no such split; the message lists those that exist.
        """
        for split, samples in self.splits.items():
            if split == name:
                return samples
        raise DataError(f"{self.root} has no split {name!r}; it has {', '.join(self.splits)}.")

    @property
    def num_images(self) -> dict[str, int]:
        """Number of images of each split."""
        return {split: len(samples) for split, samples in self.splits.items()}

    @property
    def mismatches(self) -> tuple[str, ...]:
        """Counts that differ from Stanford Cars; empty for custom classes.

        A `val` that came with the data may have been split from the official training images.
        """
        if self.classes != CLASS_NAMES:
            return ()
        have = self.num_images
        found = []
        for split, official in OFFICIAL_IMAGES.items():
            parts = [part for part in ((split, "val") if split == "train" else (split,)) if part in have]
            number = sum(have[part] for part in parts)
            if not parts:
                found.append(f"there is no {split} split; Stanford Cars has {official:,} {split} images")
            elif number != official:
                verb = "have" if len(parts) > 1 else "has"
                counted = f"{' and '.join(parts)} {verb} {number:,} images"
                found.append(f"{counted}, Stanford Cars has {official:,} {split} images")
        classes = len({sample.label for samples in self.splits.values() for sample in samples})
        if classes != len(CLASS_NAMES):
            found.append(f"{classes} of the {len(CLASS_NAMES)} classes have images")
        return tuple(found)
