"""The finished table: CSV, JSON lines or Parquet, from rows of any number in constant memory. No torch.

A row is `{"image": name, "guesses": [{"name": ..., "probability": ...}, ...], "familiar": ...}`, or
`{"image": name, "error": reason}` for an image that could not be read.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from lightcars.errors import MissingExtraError
from lightcars.evaluation.cells import to_cell
from lightcars.text import json_text

Row: TypeAlias = Mapping[str, Any]
SIDES = ("left", "top", "right", "bottom")
"""Columns of the box, in pixels."""
ROW_GROUP = 16_384
"""Rows of a Parquet row group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a table.

    Attributes:
        top: guesses of each image.
        has_familiarity: whether there is a column `familiar`.
        has_boxes: whether there are columns for the car that was found.
    """

    top: int
    has_familiarity: bool
    has_boxes: bool = False

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        pairs = (f"{kind}_{rank}" for rank in range(1, self.top + 1) for kind in ("guess", "probability"))
        cars = ["car_found", *SIDES] if self.has_boxes else []
        return ["image", *pairs, *["familiar"] * self.has_familiarity, *cars, "error"]

    def values(self, row: Row) -> list[Any]:
        """Return the values of a row; None where there is none."""
        pairs = [value for guess in row.get("guesses", ()) for value in (guess["name"], guess["probability"])]
        pairs += [None] * (2 * self.top - len(pairs))
        cars = [row.get("car_found"), *(row.get("box") or [None] * len(SIDES))] if self.has_boxes else []
        return [row["image"], *pairs, *[row.get("familiar")] * self.has_familiarity, *cars, row.get("error")]


def write_csv(rows: Iterable[Row], path: Path, columns: Columns) -> None:
    """Write UTF-8 with a head; no cell is run by a spreadsheet as a formula."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns.names)
        writer.writerows(map(_cell, columns.values(row)) for row in rows)


def write_jsonl(rows: Iterable[Row], path: Path, columns: Columns) -> None:  # noqa: ARG001
    """Write one JSON object per line."""
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(f"{json_text(row, indent=None)}\n" for row in rows)


def write_parquet(rows: Iterable[Row], path: Path, columns: Columns) -> None:
    """Write row groups of `ROW_GROUP` rows; what is not UTF-8 in a name is escaped."""
    pyarrow, parquet = _pyarrow()
    kinds = {"image": pyarrow.string(), "familiar": pyarrow.bool_(), "error": pyarrow.string()}
    kinds |= {"car_found": pyarrow.bool_(), **dict.fromkeys(SIDES, pyarrow.int32())}
    fields = [
        (name, kinds.get(name) or (pyarrow.string() if name.startswith("guess") else pyarrow.float64()))
        for name in columns.names
    ]
    schema = pyarrow.schema(fields)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(rows):
            values = zip(*(map(_unicode, columns.values(row)) for row in group), strict=True)
            arrays = [pyarrow.array(each, kind) for each, (_, kind) in zip(values, fields, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def check_installed(suffix: str) -> None:
    """Check before any work that a format can be written.

    Raises:
        MissingExtraError: Parquet without pyarrow.
    """
    if suffix == ".parquet":
        _pyarrow()


FORMATS: dict[str, Callable[[Iterable[Row], Path, Columns], None]] = {
    ".csv": write_csv,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
}
"""Suffix of a table -> the function that writes it."""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    return to_cell(value)


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while group := list(islice(remaining, ROW_GROUP)):
        yield group


def _unicode(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("writing parquet needs pyarrow: pip install 'lightcars[parquet]'") from error
    return pyarrow, pyarrow.parquet
