"""The original layout: `cars_train/`, `cars_test/` and `devkit/`, five digits in a file name.

    cars_train/00001.jpg ...        or cars_train/cars_train/, as Kaggle unpacks it
    cars_test/00001.jpg ...
    cars_test_annos_withlabels.mat  or in devkit/, or "cars_test_annos_withlabels (1).mat"
    devkit/cars_meta.mat, cars_train_annos.mat, cars_test_annos.mat

The annotation files may also be beside the folders, without `devkit/`.
"""

from __future__ import annotations

from pathlib import Path

from lightcars.data.layouts.folders import check_present, images, known_classes, unannotated, unnested
from lightcars.data.layouts.matlab import read_mat, sample_of
from lightcars.data.records import DatasetRecords, Sample, Split
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.errors import DataError

NAME = "original"
_TRAIN = "cars_train_annos.mat"
_TEST = "cars_test_annos_withlabels.mat"


def recognizes(root: Path) -> bool:
    """Return whether `root` has this layout."""
    return (root / "cars_train").is_dir() and ((root / "devkit").is_dir() or (root / _TRAIN).is_file())


def read(root: Path) -> DatasetRecords:
    """Read the images of the annotation files.

    Raises:
        DataError: an annotated image or the training annotations are missing, or a file is corrupt.
    """
    meta = _annotations(root, "cars_meta.mat")
    classes = known_classes(map(str, read_mat(meta, "class_names"))) if meta else CLASS_NAMES
    train = _annotations(root, _TRAIN) or root / "devkit" / _TRAIN
    folder = unnested(root / "cars_train")
    splits: dict[Split, tuple[Sample, ...]] = {"train": _annotated(folder, train, classes)}
    notes = unannotated(splits["train"], folder)
    folder, labels = unnested(root / "cars_test"), _annotations(root, _TEST)
    if folder.is_dir() and labels is not None:
        splits["test"] = _annotated(folder, labels, classes)
        notes += unannotated(splits["test"], folder)
    elif folder.is_dir():
        number = len(images(folder))
        notes += (f"{folder} is not used ({number} images without labels): {_TEST} is missing",)
    return DatasetRecords(root=root, layout=NAME, classes=classes, splits=splits, notes=notes)


def _annotations(root: Path, name: str) -> Path | None:
    """Return the file in `devkit/` or beside it; a browser may have added " (1)" to its name."""
    folders = [folder for folder in (unnested(root / "devkit"), root) if folder.is_dir()]
    for pattern in (name, f"{Path(name).stem} ([0-9]).mat", f"{Path(name).stem}([0-9]).mat"):
        for folder in folders:
            for path in sorted(folder.glob(pattern)):
                return path
    return None


def _annotated(folder: Path, annotations: Path, classes: tuple[str, ...]) -> tuple[Sample, ...]:
    try:
        named = [(row, str(row["fname"])) for row in read_mat(annotations, "annotations")]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"{annotations} lacks the fields of the devkit ({error}).") from error
    samples = tuple(
        sample_of(row, folder / Path(name).name, annotations, number, len(classes))
        for number, (row, name) in enumerate(named, 1)
    )
    check_present(samples, folder)
    return samples
