"""Reading the annotation files of the devkit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightcars.data.layouts import mat_reader
from lightcars.data.layouts.tables import checked_box
from lightcars.data.records import Sample
from lightcars.errors import DataError, MissingExtraError, MissingVariableError
from lightcars.text import one_line

TIMEOUT_S = 120.0
"""Seconds after which reading a file is given up; those of Stanford Cars take one."""


def read_mat(path: Path, key: str) -> list[Any]:
    """Read one variable of a .mat file, as a list; structures are dictionaries by field.

    Raises:
        DataError: the file is missing or corrupt.
        MissingVariableError: it has no such variable.
        MissingExtraError: scipy is not installed.
    """
    if find_spec("scipy") is None:
        raise MissingExtraError("reading .mat files needs scipy: pip install 'lightcars[cars]'")
    if not path.is_file():
        raise DataError(f"{path} is missing; copy the devkit again.")
    result = _in_a_process(path, key)
    if "missing" in result:
        raise MissingVariableError(f"{path} has no variable {key}; copy it again.")
    if "error" in result:
        raise DataError(
            f"{path} cannot be read as a file of the devkit ({one_line(result['error'])}); copy it again."
        )
    value: list[Any] = result["value"]
    return value


def _in_a_process(path: Path, key: str) -> dict[str, Any]:
    """Run `mat_reader`; a crash there is an error like any other."""
    command = [sys.executable, "-P", mat_reader.__file__, os.fspath(path.absolute()), key]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
        result: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"error": f"not finished after {TIMEOUT_S:.0f} s"}
    except ValueError:
        return {"error": "the reader crashed"}
    return result


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
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        raise DataError(f"{annotations} lacks the fields of the devkit ({error}).") from error
    if not 1 <= label <= num_classes:
        raise DataError(f"{annotations} gives {path.name} class {label} of {num_classes}.")
    return Sample(path, label - 1, checked_box(box, where))
