"""Names of splits: train, val and test in the usual spellings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from lightcars.data.layouts.folders import subfolders
from lightcars.data.records import Split
from lightcars.errors import DataError

SPLIT_NAMES: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Lower-case words -> the split."""
_SUFFIX = re.compile(r"(set|split|data|images|imgs)$")


def split_of(name: str) -> Split | None:
    """Return the split that a folder's or a file's name stands for, in any case.

    >>> split_of("Validation_Set"), split_of("val"), split_of("train-images"), split_of("Audi")
    ('val', 'val', 'train', None)
    """
    word = re.sub(r"[\W_]", "", name.casefold())
    return SPLIT_NAMES.get(word) or SPLIT_NAMES.get(_SUFFIX.sub("", word))


def split_folders(root: Path) -> dict[Split, Path]:
    """Return the folders of the splits in a folder, in the order train, val, test.

    Raises:
        DataError: a split has more than one folder.
    """
    found: dict[Split, Path] = {}
    for folder in subfolders(root):
        split = split_of(folder.name)
        if split is None:
            continue
        if split in found:
            names = f"{found[split].name} and {folder.name}"
            raise DataError(f"{root} has more than one folder for {split} ({names}); remove one.")
        found[split] = folder
    return {split: found[split] for split in dict.fromkeys(SPLIT_NAMES.values()) if split in found}
