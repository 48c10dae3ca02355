"""Which layout a folder has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lightcars.data.layouts import class_folders, combined, original, parquet, thesis
from lightcars.data.layouts.folders import subfolders
from lightcars.data.records import DatasetRecords
from lightcars.errors import DataError

MAX_WRAPPINGS = 3
"""Folders that hold one folder and nothing else, as archives leave them, are looked through so deep."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which people have the photographs.

    Attributes:
        recognizes: looks at names in a folder.
        read: lists the photographs of a folder that is recognized.
    """

    recognizes: Callable[[Path], bool]
    read: Callable[[Path], DatasetRecords]


LAYOUTS: dict[str, Layout] = {
    original.NAME: Layout(original.recognizes, original.read),
    combined.NAME: Layout(combined.recognizes, combined.read),
    thesis.NAME: Layout(thesis.recognizes, thesis.read),
    class_folders.NAME: Layout(class_folders.recognizes, class_folders.read),
    parquet.NAME: Layout(parquet.recognizes, parquet.read),
}
"""In the order in which they are tried."""


def find_data(root: str | Path) -> DatasetRecords:
    """Looks at a folder and lists its photographs.

    Raises:
        DataError: no layout is recognized, or something is missing: an empty class folder, a class that is
            none of the known ones, annotated photographs that are not there.
    """
    given = Path(root)
    if given.is_file():
        raise DataError(
            f"there is no folder {given}; of an archive make one: lightcars data prepare {given} DST"
        )
    if not given.is_dir():
        raise DataError(f"there is no folder {given}.")
    found = recognize(given)
    if found is None:
        raise DataError(_unknown(given))
    name, folder = found
    return LAYOUTS[name].read(folder)


def recognize(root: Path) -> tuple[str, Path] | None:
    """The layout of `root`, or of the only folder in it (and so on), and where it was found."""
    for _ in range(MAX_WRAPPINGS + 1):
        for name, layout in LAYOUTS.items():
            if layout.recognizes(root):
                return name, root
        inside = subfolders(root)
        if len(inside) != 1:
            return None
        root = inside[0]
    return None


def _unknown(folder: Path) -> str:
    held = sorted(entry.name for entry in folder.iterdir())
    shown = ", ".join(held[:6]) + (", ..." if len(held) > 6 else "")
    return (
        f"{folder} has neither class folders (train/, val/ or test/) nor cars_train/ with devkit/, car_ims/"
        f" with cars_annos.mat, train_labels.csv or *.parquet; it holds {shown or 'nothing'}."
        + _advice(folder)
    )


def _advice(folder: Path) -> str:
    if (folder / "cars_train").is_dir():
        return (
            " For cars_train/ the devkit's cars_train_annos.mat is needed"
            + (
                " (cars_annos.mat is of car_ims/, with other numbers)"
                * (folder / combined.ANNOTATIONS).is_file()
            )
            + "."
        )
    if (folder / "car_ims").is_dir():
        return f" For car_ims/ its {combined.ANNOTATIONS} is needed."
    if any(path.name.endswith((".tgz", ".tar.gz", ".zip", ".tar")) for path in folder.iterdir()):
        return f" Of archives make a folder: lightcars data prepare {folder} DST"
    return ""
