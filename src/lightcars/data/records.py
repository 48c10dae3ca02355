"""What every layout is read into: samples, each with its own label and box, in named splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from lightcars.data.stanford_cars import CLASS_NAMES, OFFICIAL_IMAGES
from lightcars.errors import DataError

Region = Literal["whole", "box", "masked"]
REGIONS: tuple[Region, ...] = get_args(Region)
"""Of a photograph, as `regions.py` reads it: as it is; cut to the box (GhostNet thesis, C-10); the rest
painted white, at the same size (C-11)."""

Split = Literal["train", "val", "test"]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """One photograph.

    Attributes:
        path: of the image file.
        label: class, counted from 0.
        box: left, top, right, bottom of the car, if annotated: pixels of the upright photograph, counted from
            1, the last ones inside, as in the devkit.
    """

    path: Path
    label: int
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecords:
    """A data set on disk.

    Attributes:
        root: the folder in which the layout was found: the given one, or the only one in it.
        layout: how it is arranged, in words.
        classes: names of the labels in order.
        splits: the photographs of each split that is there.
        validation_seed: seed with which `val` was cut from `train`; None if it came with the data.
        notes: what is there and was left out, or is not there and would be of use; a line each.
    """

    root: Path
    layout: str
    classes: tuple[str, ...]
    splits: Mapping[Split, tuple[Sample, ...]]
    validation_seed: int | None = None
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> tuple[Sample, ...]:
        """The photographs of one split, or an error that says which splits there are."""
        for split, samples in self.splits.items():
            if split == name:
                return samples
        raise DataError(f"{self.root} has no split {name!r}; it has {', '.join(self.splits)}.")

    @property
    def num_images(self) -> dict[str, int]:
        """Photographs of each split."""
        return {split: len(samples) for split, samples in self.splits.items()}

    @property
    def mismatches(self) -> tuple[str, ...]:
        """Where the counts are not those of Stanford Cars; nothing for classes of one's own.

        A `val` that came with the data may have been cut from the official training photographs.
        """
        if self.classes != CLASS_NAMES:
            return ()
        have = self.num_images
        found = []
        for split, official in OFFICIAL_IMAGES.items():
            parts = [part for part in ((split, "val") if split == "train" else (split,)) if part in have]
            number = sum(have[part] for part in parts)
            if not parts:
                found.append(f"there is no {split}; Stanford Cars' has {official:,} photographs")
            elif number != official:
                verb = "have" if len(parts) > 1 else "has"
                said = f"{' and '.join(parts)} {verb} {number:,} photographs"
                found.append(f"{said}, Stanford Cars' {split} {official:,}")
        classes = len({sample.label for samples in self.splits.values() for sample in samples})
        if classes != len(CLASS_NAMES):
            found.append(f"{classes} of the {len(CLASS_NAMES)} classes have photographs")
        return tuple(found)
