"""Class folders: a folder for each split, in it a folder for each class.

    train/<class>/*.jpg, and val/ or test/ beside it
    <class>/*.jpg                 class folders alone: all of them are `train`
    classes.txt                   optional: the classes in the order of their labels, one a line
    annotations.csv               boxes, as `lightcars data prepare` writes them
    anno_train.csv, names.csv     boxes, as in a copy on Kaggle, with car_data/car_data/{train,test}/

Without a list of classes, folders named after the cars of Stanford Cars have that data set's classes; any
other folders are the classes themselves, in alphabetical order. A "/" in a class may be another character in
its folder's name, or a nested folder ("Ram C/V Cargo ...").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from lightcars.data.layouts.boxes import add_boxes, listed_classes
from lightcars.data.layouts.folders import CLASSES_FILE, images, own_classes, subfolders, unnested
from lightcars.data.layouts.mistakes import nested_in, without_classes
from lightcars.data.layouts.splits import split_folders
from lightcars.data.layouts.unused import unused_files
from lightcars.data.records import DatasetRecords, Sample, Split
from lightcars.data.stanford_cars import CLASS_NAMES, class_index
from lightcars.errors import DataError, did_you_mean

NAME = "class folders"
FOLDERS_ALONE = "class folders without splits"
_NESTED = ("", "car_data", "car_data/car_data")


def recognizes(root: Path) -> bool:
    """Return whether `root` has this layout."""
    return _home(root) is not None


def recognizes_folders_alone(root: Path) -> bool:
    """Return whether `root` has at least two folders of images, and no splits."""
    if _home(root) is not None or root.name.startswith("."):
        return False
    return sum(bool(images(folder)) for folder in subfolders(root)) > 1


def read_folders_alone(root: Path) -> DatasetRecords:
    """Read class folders without splits: all images are `train`.

    Raises:
        DataError: as `read`.
    """
    return replace(_read(root, root, {"train": root}), layout=FOLDERS_ALONE)


def read(root: Path) -> DatasetRecords:
    """Read the images in the class folders, and their boxes if there is a table.

    Raises:
        DataError: a class folder is empty or of an unknown class, a table is invalid or contradicts the
            folders.
    """
    home = _home(root) or root
    return _read(root, home, split_folders(home))


def _read(root: Path, home: Path, folders: Mapping[Split, Path]) -> DatasetRecords:
    listed = own_classes(root) or own_classes(home) or listed_classes((home, root))
    classes = listed or _classes_of(unnested(folder) for folder in folders.values())
    splits: dict[Split, tuple[Sample, ...]] = {
        split: tuple(_labeled(unnested(folder), classes, root)) for split, folder in folders.items()
    }
    if "train" in splits:
        _check_train_covers(splits, classes, home)
    splits, notes = add_boxes(splits, home, root, classes)
    used = {sample.path for samples in splits.values() for sample in samples}
    notes += unused_files(root, used, folders.values())
    return DatasetRecords(root=root, layout=NAME, classes=classes, splits=splits, notes=notes)


def _classes_of(folders: Iterable[Path]) -> tuple[str, ...]:
    """Return the classes that the names of class folders stand for: Stanford Cars', or their own.

    Raises:
        DataError: there is only one, or two names differ in case alone.
    """
    names = {folder.name: folder for parent in folders for folder in subfolders(parent)}
    if 2 * sum(map(_is_stanford_car, names)) >= len(names):
        return CLASS_NAMES
    first = next(iter(names.values()))
    if len(names) == 1:
        raise DataError(f"{first} is the only class folder in {first.parent}; at least two are needed.")
    alike = Counter(name.casefold() for name in names)
    twice = [name for name in names if alike[name.casefold()] > 1]
    if twice:
        raise DataError(
            f"class folders differ only in case: {', '.join(sorted(twice))}; rename or merge them."
        )
    return tuple(sorted(names))


def _is_stanford_car(name: str) -> bool:
    """Return whether a name is a class of Stanford Cars, or a misspelled one."""
    try:
        class_index(name)
    except DataError:
        return bool(did_you_mean(name, CLASS_NAMES))
    return True


def _home(root: Path) -> Path | None:
    """Return the folder with the splits: `root`, or the one in it that a Kaggle archive unpacks to."""
    for inner in _NESTED:
        if (root / inner).is_dir() and split_folders(root / inner):
            return root / inner
    return None


def _labeled(folder: Path, classes: tuple[str, ...], root: Path) -> list[Sample]:
    if not subfolders(folder):
        raise DataError(without_classes(folder))
    samples: list[Sample] = []
    for class_folder, label in _class_folders(folder, classes, root):
        found = images(class_folder)
        if not found:
            empty = f"{class_folder} contains no images; the copy may be incomplete."
            raise DataError(nested_in(class_folder) or empty)
        samples.extend(Sample(path, label) for path in found)
    return samples


def _class_folders(folder: Path, classes: tuple[str, ...], root: Path) -> Iterator[tuple[Path, int]]:
    for outer in subfolders(folder):
        try:
            yield outer, class_index(outer.name, classes)
        except DataError as error:
            halves = [(inner, _index_of_halves(outer, inner, classes)) for inner in subfolders(outer)]
            if halves and not images(outer) and all(label is not None for _, label in halves):
                yield from ((inner, label) for inner, label in halves if label is not None)
                continue
            hint = f"To use your own classes, list them in {root / CLASSES_FILE}, one per line."
            raise DataError(f"{outer}: {error} {hint}") from error


def _index_of_halves(outer: Path, inner: Path, classes: tuple[str, ...]) -> int | None:
    """Return the label of a class whose "/" became two nested folders."""
    try:
        return class_index(f"{outer.name}/{inner.name}", classes)
    except DataError:
        return None


def _check_train_covers(
    splits: Mapping[Split, tuple[Sample, ...]], classes: tuple[str, ...], root: Path
) -> None:
    trained = {sample.label for sample in splits["train"]}
    for split, samples in splits.items():
        missing = sorted({sample.label for sample in samples} - trained)
        if missing:
            raise DataError(
                f"{root}/train has no images of some classes in {split} ({len(missing)}, first:"
                f" {classes[missing[0]]}); the copy may be incomplete."
            )
