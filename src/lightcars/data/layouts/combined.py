"""All images in one folder: `car_ims/` and `cars_annos.mat`, six digits in a file name.

The annotation file has the classes, and the split of each image. Its numbers are not those of `cars_train/`
and `cars_test/`.
"""

from __future__ import annotations

from pathlib import Path

from lightcars.data.layouts.folders import check_present, known_classes, unannotated, unnested
from lightcars.data.layouts.matlab import read_mat, sample_of
from lightcars.data.records import DatasetRecords, Sample, Split
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.errors import DataError, MissingVariableError

NAME = "car_ims with cars_annos.mat"
ANNOTATIONS = "cars_annos.mat"


def recognizes(root: Path) -> bool:
    """Return whether `root` has this layout."""
    return (root / "car_ims").is_dir() and _annotations(root).is_file()


def read(root: Path) -> DatasetRecords:
    """Read the images and splits of `cars_annos.mat`.

    Raises:
        DataError: an annotated image is missing, or the file is corrupt.
    """
    annotations, folder = _annotations(root), unnested(root / "car_ims")
    try:
        classes = known_classes(map(str, read_mat(annotations, "class_names")))
    except MissingVariableError:
        classes = CLASS_NAMES  # some copies contain only the annotations
    samples: dict[bool, list[Sample]] = {False: [], True: []}
    for number, row in enumerate(read_mat(annotations, "annotations"), 1):
        try:
            path, is_test = folder / Path(str(row["relative_im_path"])).name, bool(int(row["test"]))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise DataError(f"{annotations} lacks the fields of the devkit ({error}).") from error
        samples[is_test].append(sample_of(row, path, annotations, number, len(classes)))
    every = samples[False] + samples[True]
    check_present(every, folder)
    named: tuple[tuple[Split, list[Sample]], ...] = (("train", samples[False]), ("test", samples[True]))
    return DatasetRecords(
        root=root,
        layout=NAME,
        classes=classes,
        splits={split: tuple(members) for split, members in named if members},
        notes=unannotated(every, folder),
    )


def _annotations(root: Path) -> Path:
    inside = root / "devkit" / ANNOTATIONS
    return inside if inside.is_file() else root / ANNOTATIONS
