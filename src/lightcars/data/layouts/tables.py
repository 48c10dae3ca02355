"""Reading CSV files row by row, so that errors name the row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightcars.data.records import Box
from lightcars.errors import DataError


def rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the position ("<file>, row 3") and the values of each row that is not empty.

    Raises:
        DataError: the file cannot be read as comma-separated UTF-8 text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for values in reader:
                if any(value.strip() for value in values):
                    yield f"{path}, row {reader.line_num}", [value.strip() for value in values]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not comma-separated UTF-8 text ({error}).") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error


def named_rows(
    path: Path, columns: Mapping[str, Sequence[str]], required: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a file with a head, as dictionaries by our names of the columns.

    Args:
        path: path of the file.
        columns: our name of a column -> its possible names in the file.
        required: our names of the required columns.

    Raises:
        DataError: a column is missing, or a row has another number of values than the head.
    """
    every = rows(path)
    _, head = next(every, ("", []))
    there = {name.casefold(): position for position, name in enumerate(head)}
    found = {
        ours: next(there[name] for name in names if name in there)
        for ours, names in columns.items()
        if any(name in there for name in names)
    }
    missing = [" or ".join(columns[ours]) for ours in required if ours not in found]
    if missing:
        raise DataError(f"{path} has no column {missing[0]}; it has {', '.join(head) or 'nothing'}.")
    for where, values in every:
        if len(values) != len(head):
            raise DataError(f"{where} has {len(values)} values, but the header has {len(head)}.")
        yield where, {ours: values[position] for ours, position in found.items()}


def whole_number(text: str, where: str, what: str) -> int:
    """Parse a whole number; "14.0" is 14."""
    try:
        number = float(text)
        if number.is_integer():
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise DataError(f"{where}: {what} is {text!r}, not a whole number.")


def box_of(values: Sequence[str], where: str) -> Box | None:
    """Parse left, top, right, bottom; None if all four cells are empty."""
    if not any(values):
        return None
    names = ("x1", "y1", "x2", "y2")
    x1, y1, x2, y2 = (whole_number(text, where, name) for text, name in zip(values, names, strict=True))
    return checked_box((x1, y1, x2, y2), where)


def checked_box(box: Any, where: str) -> Box:
    """Return the box if it is not empty.

    Raises:
        DataError: right is less than left, or bottom less than top.
    """
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        raise DataError(f"{where}: the box {x1}, {y1}, {x2}, {y2} is empty.")
    return x1, y1, x2, y2
