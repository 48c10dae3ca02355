"""Recognition of the layout of a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lightcars.data.layouts import class_folders, combined, original, parquet, thesis
from lightcars.data.layouts.folders import subfolders
from lightcars.data.layouts.mistakes import mistake_in
from lightcars.data.records import DatasetRecords
from lightcars.errors import DataError

MAX_WRAPPINGS = 3
"""Depth to which nested folders, as archives create them, are searched."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to arrange a data set on disk.

    Attributes:
        recognizes: whether a folder has this layout, by file names.
        read: reads the samples of a recognized folder.
    """

    recognizes: Callable[[Path], bool]
    read: Callable[[Path], DatasetRecords]


LAYOUTS: dict[str, Layout] = {
    original.NAME: Layout(original.recognizes, original.read),
    combined.NAME: Layout(combined.recognizes, combined.read),
    thesis.NAME: Layout(thesis.recognizes, thesis.read),
    class_folders.NAME: Layout(class_folders.recognizes, class_folders.read),
    parquet.NAME: Layout(parquet.recognizes, parquet.read),
    class_folders.FOLDERS_ALONE: Layout(
        class_folders.recognizes_folders_alone, class_folders.read_folders_alone
    ),
}
"""The layouts, in the order in which they are tried."""
LAYOUTS_WITH_BOXES = frozenset([original.NAME, combined.NAME, thesis.NAME, parquet.NAME])
"""Layouts of uncut images, with boxes beside them."""


def find_data(root: str | Path) -> DatasetRecords:
    """Recognize the layout of a folder and read its samples.

    Raises:
        DataError: no layout is recognized, or something is wrong: an empty class folder, an unknown class,
            missing images.
    """
    given = Path(root)
    if given.is_file():
        raise DataError(
            f"{given} is not a folder; convert an archive to one: lightcars data prepare {given} DST"
        )
    if not given.is_dir():
        raise DataError(f"there is no folder {given}.")
    found = recognize(given)
    if found is None:
        raise DataError(_unknown(given))
    name, folder = found
    return LAYOUTS[name].read(folder)


def recognize(root: Path) -> tuple[str, Path] | None:
    """Return the layout of `root`, or of the only folder in it (and so on), and where it was found."""
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
    advice = _advice(folder)
    mistake = None if advice else mistake_in(folder)
    if mistake is not None:
        return mistake
    held = sorted(entry.name for entry in folder.iterdir())
    shown = ", ".join(held[:6]) + (", ..." if len(held) > 6 else "")
    return (
        f"{folder} has neither class folders (in train/, val/ or test/, or alone) nor cars_train/ with"
        f" devkit/, car_ims/ with cars_annos.mat, train_labels.csv or *.parquet; it contains"
        f" {shown or 'nothing'}.{advice}"
    )


def _advice(folder: Path) -> str:
    if (folder / "cars_train").is_dir():
        return (
            " For cars_train/ the devkit's cars_train_annos.mat is needed"
            + (
                " (cars_annos.mat is for car_ims/, which numbers the images differently)"
                * (folder / combined.ANNOTATIONS).is_file()
            )
            + "."
        )
    if (folder / "car_ims").is_dir():
        return f" For car_ims/ its {combined.ANNOTATIONS} is needed."
    if any(path.name.endswith((".tgz", ".tar.gz", ".zip", ".tar")) for path in folder.iterdir()):
        return f" Convert archives to a folder: lightcars data prepare {folder} DST"
    return ""
