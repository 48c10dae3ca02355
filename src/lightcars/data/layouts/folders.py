"""Shared by the layouts: image files of a folder, nested folders, custom classes, missing files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from lightcars.data.class_matching import class_key, normalized
from lightcars.data.records import Sample
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.errors import DataError
from lightcars.models.images import is_image

CLASSES_FILE = "classes.txt"


def images(folder: Path) -> list[Path]:
    """Return the image files in a folder, sorted by name, without hidden ones."""
    return sorted(path for path in folder.iterdir() if is_image(path))


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without hidden ones and those of macOS."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name != "__MACOSX"
    )


def unnested(folder: Path) -> Path:
    """Return `cars_train/cars_train/` for `cars_train/` if it exists, as Kaggle unpacks it."""
    inner = folder / folder.name
    return inner if inner.is_dir() else folder


def own_classes(root: Path) -> tuple[str, ...] | None:
    """Return the classes listed in `classes.txt`, if it exists."""
    path = root / CLASSES_FILE
    if not path.is_file():
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    names = [normalized(line) for line in lines if line.strip()]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if not names or twice:
        reason = f"{twice[0]} appears twice" if twice else "it is empty"
        raise DataError(f"{path} must list each class once, one per line; {reason}.")
    return tuple(names)


def known_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Return `CLASS_NAMES` if the names are those in that order, however spelled; else the names."""
    listed = tuple(map(normalized, names))
    same = [class_key(name) for name in listed] == [class_key(name) for name in CLASS_NAMES]
    return CLASS_NAMES if same else listed


def check_present(samples: Sequence[Sample], folder: Path) -> None:
    """Check that every annotated image exists in `folder` and is annotated once.

    Raises:
        DataError: one is missing, or annotated twice.
    """
    names = Counter(sample.path.name for sample in samples)
    twice = [name for name, times in names.items() if times > 1]
    if twice:
        raise DataError(f"the annotations of {folder} list {twice[0]} twice; remove one of the entries.")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    missing = [sample.path.name for sample in samples if sample.path.name not in there]
    if missing:
        raise DataError(
            f"{folder} lacks {len(missing)} of {len(samples)} annotated images (first: {missing[0]});"
            " the copy may be incomplete."
        )


def unannotated(samples: Sequence[Sample], folder: Path) -> tuple[str, ...]:
    """Return a note if `folder` has images without annotation."""
    named = {sample.path.name for sample in samples}
    extra = [path.name for path in images(folder) if path.name not in named]
    if not extra:
        return ()
    return (f"{folder} has images without annotation, not used ({len(extra)}, first: {extra[0]})",)
