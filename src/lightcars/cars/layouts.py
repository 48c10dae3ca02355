"""Finding the photographs: which layout a folder has, and what is in it. No torch.

Two layouts are recognised by looking:

* class folders: `train/<class>/*.jpg` beside `val/` or `test/`;
* the original: `cars_train/*.jpg` with `devkit/*.mat`, and `cars_test/` if it is there.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lightcars.cars.classes import CLASS_NAMES, class_index, class_key
from lightcars.errors import DataError, MissingExtraError

Split = Literal["train", "val", "test"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
CLASSES_FILE = "classes.txt"
VALIDATION_FRACTION = 0.12
_SPLIT_FOLDERS: Mapping[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One photograph.

    Attributes:
        path: of the image file.
        label: class, counted from 0.
        box: left, top, right, bottom of the car in pixels, if annotated.
    """

    path: Path
    label: int
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CarsData:
    """A data set on disk.

    Attributes:
        root: the folder that was given.
        layout: how it is arranged.
        classes: names of the labels in order.
        splits: the photographs of each split that is there.
        validation_seed: seed with which `val` was cut from `train`; None if it came with the data.
    """

    root: Path
    layout: Literal["class folders", "original"]
    classes: tuple[str, ...]
    splits: Mapping[Split, tuple[Sample, ...]]
    validation_seed: int | None = None

    def split(self, name: str) -> tuple[Sample, ...]:
        """The photographs of one split, or an error that says which splits there are."""
        for split, samples in self.splits.items():
            if split == name:
                return samples
        raise DataError(f"{self.root} has no split {name!r}; it has {', '.join(self.splits)}.")


def find_data(root: str | Path) -> CarsData:
    """Looks at a folder and lists its photographs.

    Raises:
        DataError: no layout is recognised, or something is missing: an empty class folder, a class that is
            none of the known ones, annotated photographs that are not there.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}.")
    if (folder / "cars_train").is_dir() and (folder / "devkit").is_dir():
        return _original(folder)
    if any((folder / name).is_dir() for name in _SPLIT_FOLDERS):
        return _class_folders(folder)
    held = sorted(entry.name for entry in folder.iterdir())
    shown = ", ".join(held[:6]) + (", ..." if len(held) > 6 else "")
    raise DataError(
        f"{folder} has neither class folders (train/, val/ or test/) nor cars_train/ with devkit/;"
        f" it holds {shown or 'nothing'}."
    )


def with_validation(data: CarsData, seed: int, fraction: float = VALIDATION_FRACTION) -> CarsData:
    """The same data with a validation split, cut from the training photographs if there is none.

    From each class `fraction` of the photographs (at least one where there are two) goes to `val`. The
    choice depends on the seed and the file names alone.
    """
    if "val" in data.splits:
        return data
    train, val = split_stratified(data.split("train"), seed, fraction)
    if not val:
        raise DataError(f"{data.root} has too few photographs per class to cut a validation split from.")
    return replace(data, splits={**data.splits, "train": train, "val": val}, validation_seed=seed)


def split_stratified(
    samples: Sequence[Sample], seed: int, fraction: float
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Two parts of `samples`, the second with `fraction` of each class; both keep the order."""
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


def _class_folders(root: Path) -> CarsData:
    classes = _own_classes(root) or CLASS_NAMES
    splits: dict[Split, tuple[Sample, ...]] = {}
    for name, split in _SPLIT_FOLDERS.items():
        if (root / name).is_dir():
            if split in splits:
                raise DataError(f"{root} has more than one folder for {split}; remove {name}.")
            splits[split] = tuple(_labelled(root / name, classes, root))
    if "train" in splits:
        _check_train_covers(splits, classes, root)
    return CarsData(root=root, layout="class folders", classes=classes, splits=splits)


def _own_classes(root: Path) -> tuple[str, ...] | None:
    path = root / CLASSES_FILE
    if not path.is_file():
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text; save it as that.") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names or len({class_key(name) for name in names}) < len(names):
        raise DataError(f"{path} must name each class once, one a line; letters and digits tell them apart.")
    return tuple(names)


def _labelled(folder: Path, classes: tuple[str, ...], root: Path) -> list[Sample]:
    class_folders = sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    if not class_folders:
        raise DataError(f"{folder} holds no class folder; the copy may be incomplete.")
    samples: list[Sample] = []
    for class_folder in class_folders:
        try:
            label = class_index(class_folder.name, classes)
        except DataError as error:
            hint = f"For classes of your own, list them in {root / CLASSES_FILE}, one a line."
            raise DataError(f"{class_folder}: {error} {hint}") from error
        images = _images(class_folder)
        if not images:
            raise DataError(f"{class_folder} holds no image; the copy may be incomplete.")
        samples.extend(Sample(path, label) for path in images)
    return samples


def _images(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _check_train_covers(
    splits: Mapping[Split, tuple[Sample, ...]], classes: tuple[str, ...], root: Path
) -> None:
    trained = {sample.label for sample in splits["train"]}
    for split, samples in splits.items():
        missing = sorted({sample.label for sample in samples} - trained)
        if missing:
            raise DataError(
                f"{root}/train lacks {len(missing)} classes that {split} has (first: {classes[missing[0]]});"
                " the copy may be incomplete."
            )


def _original(root: Path) -> CarsData:
    meta = root / "devkit" / "cars_meta.mat"
    classes = tuple(str(name) for name in _read_mat(meta, "class_names")) if meta.is_file() else CLASS_NAMES
    splits: dict[Split, tuple[Sample, ...]] = {
        "train": _annotated(root / "cars_train", root / "devkit" / "cars_train_annos.mat", classes)
    }
    with_labels = root / "devkit" / "cars_test_annos_withlabels.mat"
    if (root / "cars_test").is_dir() and with_labels.is_file():
        splits["test"] = _annotated(root / "cars_test", with_labels, classes)
    return CarsData(
        root=root,
        layout="original",
        classes=CLASS_NAMES if classes == CLASS_NAMES else classes,
        splits=splits,
    )


def _annotated(folder: Path, annotations: Path, classes: tuple[str, ...]) -> tuple[Sample, ...]:
    rows = _read_mat(annotations, "annotations")
    try:
        samples = tuple(
            Sample(
                path=folder / str(row["fname"]),
                label=int(row["class"]) - 1,
                box=(int(row["bbox_x1"]), int(row["bbox_y1"]), int(row["bbox_x2"]), int(row["bbox_y2"])),
            )
            for row in rows
        )
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"{annotations} lacks the fields of the devkit ({error}).") from error
    wrong = [sample for sample in samples if not 0 <= sample.label < len(classes)]
    if wrong:
        raise DataError(
            f"{annotations} gives {wrong[0].path.name} class {wrong[0].label + 1} of {len(classes)}."
        )
    there = {path.name for path in folder.iterdir()}
    missing = [sample.path.name for sample in samples if sample.path.name not in there]
    if missing:
        raise DataError(
            f"{folder} lacks {len(missing)} of {len(samples)} annotated photographs (first: {missing[0]});"
            " the copy may be incomplete."
        )
    return samples


def _read_mat(path: Path, key: str) -> Any:
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise MissingExtraError("reading .mat files needs scipy: pip install 'lightcars[cars]'") from error
    import numpy as np

    if not path.is_file():
        raise DataError(f"{path} is missing; copy the devkit again.")
    try:
        content = loadmat(path, squeeze_me=True)
        return np.atleast_1d(content[key])
    except (ValueError, KeyError, TypeError, OSError, NotImplementedError, MatReadError) as error:
        raise DataError(f"{path} cannot be read as the devkit's ({error}); copy it again.") from error
