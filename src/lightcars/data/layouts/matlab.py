"""Reading the annotation files of the devkit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightcars.data.layouts.tables import checked_box
from lightcars.data.records import Sample
from lightcars.errors import DataError, MissingExtraError


def read_mat(path: Path, key: str) -> Any:
    """Read one variable of a .mat file, as an array of at least one dimension."""
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


def sample_of(row: Any, path: Path, annotations: Path, number: int, num_classes: int) -> Sample:
    """Return the sample of one element of `annotations`; label and box come from the same element.

    Args:
        row: the element.
        path: path of its image.
        annotations: the file, for errors.
        number: index of the element, from 1, for errors.
        num_classes: larger labels are an error.
    """
    where = f"{annotations}, annotation {number} ({path.name})"
    try:
        label = int(row["class"])
        box = tuple(int(row[f"bbox_{edge}"]) for edge in ("x1", "y1", "x2", "y2"))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"{annotations} lacks the fields of the devkit ({error}).") from error
    if not 1 <= label <= num_classes:
        raise DataError(f"{annotations} gives {path.name} class {label} of {num_classes}.")
    return Sample(path, label - 1, checked_box(box, where))
