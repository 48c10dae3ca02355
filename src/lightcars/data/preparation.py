"""Conversion of data sets in any layout, archives and parquet files to class folders. No torch."""

from __future__ import annotations

import csv
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from lightcars.data.archives import SUFFIXES, is_archive, unpack
from lightcars.data.class_matching import folder_name
from lightcars.data.hub import PREFIX, fetch_dataset
from lightcars.data.layouts import CLASSES_FILE, Box, DatasetRecords, Split, find_data
from lightcars.data.layouts import parquet as parquet_layout
from lightcars.data.layouts.boxes import ANNOTATIONS_FILE, ANNOTATIONS_HEAD
from lightcars.data.layouts.find import recognize
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.errors import DataError, LightcarsError
from lightcars.outputs import check_output_folder
from lightcars.progress import shows_bars

_Placed = dict[tuple[Split, str], tuple[int, Box | None]]
"""Split and path below the new folder -> label and box."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The result of `prepare`.

    Attributes:
        root: the new folder.
        layout: layout of the source.
        num_classes: number of listed classes.
        num_images: number of images of each split.
        num_boxes: number of images with a box.
        mismatches: counts that differ from Stanford Cars.
        notes: what was not used or assumed.
    """

    root: Path
    layout: str
    num_classes: int
    num_images: dict[str, int]
    num_boxes: int
    mismatches: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(source: str | Path, target: str | Path, *, progress: bool = False) -> Prepared:
    """Convert a data set in any layout to `train/<class>/`, ...; boxes go to `annotations.csv`.

    Image files are not changed. They are hard links to those of a source folder where the file system
    supports them, else copies. The new folder appears when it is complete.

    Args:
        source: a folder, an archive (.tgz, .tar.gz, .tar, .zip), a folder with archives, or "hf:owner/name"
            for the parquet files of a data set on the Hugging Face Hub.
        target: a new folder.
        progress: show progress bars.

    Raises:
        DataError: the source has no known layout, is corrupt or incomplete; the target cannot be written.
        InputError: the target is the source, or inside of it.
        RunError: the target exists.
        DownloadError: the data set cannot be downloaded.
        MissingExtraError: pyarrow or scipy is needed and not installed.
    """
    target = Path(target)
    check_output_folder(target, inputs=[] if str(source).startswith(PREFIX) else [source])
    with _workshop(target) as work:
        folder, notes = _folder(source, work, progress=progress)
        with _shown_as(folder, source):
            new = work / "new"
            found = recognize(folder)
            if found is not None and found[0] == parquet_layout.NAME:
                layout, placed, more_notes = _from_parquet(found[1], new, progress=progress)
            else:
                layout, placed, more_notes = _from_samples(find_data(folder), new, progress=progress)
        with _shown_as(new, target):
            again = _read_back(new, placed)
        with suppress(FileNotFoundError):
            target.rmdir()  # an empty one may be there
        new.rename(target)
    return Prepared(
        root=target,
        layout=layout,
        num_classes=len(again.classes),
        num_images=again.num_images,
        num_boxes=sum(box is not None for _, box in placed.values()),
        mismatches=again.mismatches,
        notes=(*notes, *more_notes),
    )


@contextmanager
def _workshop(target: Path) -> Iterator[Path]:
    """Create a folder beside the target, and always remove it at the end."""
    work = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
        yield work
    except LightcarsError:  # a DownloadError is an OSError too
        raise
    except OSError as error:
        named = str(error.filename or "")
        ours = not named or work is None or named.startswith(str(work))
        place = f"cannot write {target}" if ours else f"cannot read {named}"
        raise DataError(f"{place}: {error.strerror or error}.") from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _shown_as(folder: Path, known: str | Path) -> Iterator[None]:
    """Replace our temporary folder in errors by the path that the user gave."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(str(folder), str(known))) from error


def _folder(source: str | Path, work: Path, *, progress: bool) -> tuple[Path, tuple[str, ...]]:
    """Return the folder with the images, unpacked if necessary, and notes."""
    if str(source).startswith(PREFIX):
        return fetch_dataset(str(source)), ()
    source = Path(source)
    if source.is_file() and not is_archive(source):
        raise DataError(f"{source} is neither a folder nor an archive ({', '.join(SUFFIXES)}).")
    if not source.exists():
        raise DataError(f"there is no {source}.")
    unpacked = work / "unpacked"
    if source.is_file():
        unpacked.mkdir()
        unpack(source, unpacked, progress=progress)
        return unpacked, ()
    archives = sorted(path for path in source.iterdir() if is_archive(path))
    if not archives:
        return source, ()
    if recognize(source) is not None:
        return source, (f"archives in {source} are not used: {', '.join(path.name for path in archives)}",)
    unpacked.mkdir()
    for archive in archives:
        unpack(archive, unpacked, progress=progress)
    for other in source.iterdir():
        if other not in archives and not (unpacked / other.name).exists():
            (unpacked / other.name).symlink_to(other.resolve())
    return unpacked, ()


def _from_samples(data: DatasetRecords, new: Path, *, progress: bool) -> tuple[str, _Placed, tuple[str, ...]]:
    new.mkdir()
    placed: _Placed = {}
    for split, samples in data.splits.items():
        for sample in _bar(samples, f"preparing {split}", len(samples), progress=progress):
            inside = f"{split}/{folder_name(data.classes[sample.label])}/{_file_name(sample.path)}"
            (new / inside).parent.mkdir(parents=True, exist_ok=True)
            _link(sample.path, new / inside)
            placed[split, inside] = sample.label, sample.box
    _write_tables(new, placed, data.classes)
    return data.layout, placed, data.notes


def _from_parquet(root: Path, new: Path, *, progress: bool) -> tuple[str, _Placed, tuple[str, ...]]:
    data = parquet_layout.open_parquet(root)
    new.mkdir()
    placed: _Placed = {}
    for split, number_of_rows in data.num_rows.items():
        rows = parquet_layout.encoded_images(data, split)
        for number, row in enumerate(_bar(rows, f"preparing {split}", number_of_rows, progress=progress), 1):
            inside = f"{split}/{folder_name(data.classes[row.label])}/{number:05d}{row.suffix}"
            (new / inside).parent.mkdir(parents=True, exist_ok=True)
            (new / inside).write_bytes(row.content)
            placed[split, inside] = row.label, None
    _write_tables(new, placed, data.classes)
    return parquet_layout.NAME, placed, data.notes


def _file_name(path: Path) -> str:
    """Return the name of a file; a table in UTF-8 cannot hold bytes that are not UTF-8, which become "-"."""
    return re.sub("[\ud800-\udfff]", "-", path.name)


def _link(source: Path, target: Path) -> None:
    source = source.resolve()
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _write_tables(new: Path, placed: _Placed, classes: tuple[str, ...]) -> None:
    if classes != CLASS_NAMES:
        (new / CLASSES_FILE).write_text("\n".join(classes) + "\n", encoding="utf-8")
    if all(box is None for _, box in placed.values()):
        return
    with (new / ANNOTATIONS_FILE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(ANNOTATIONS_HEAD)
        for (_, inside), (label, box) in placed.items():
            table.writerow((inside, classes[label], *(box or ("", "", "", ""))))


def _read_back(new: Path, placed: _Placed) -> DatasetRecords:
    """Read the new folder as users will, and check that it has the same content."""
    again = find_data(new)
    read: _Placed = {
        (split, sample.path.relative_to(new).as_posix()): (sample.label, sample.box)
        for split, samples in again.splits.items()
        for sample in samples
    }
    if read != placed:
        wrong = sorted(inside for _, inside in placed.keys() ^ read.keys()) or ["a label or a box"]
        raise DataError(
            f"the copy in {new} differs from the source when it is read back (first: {wrong[0]}); nothing"
            " was written."
        )
    return again


def _bar(items: Iterable[_T], name: str, total: int, *, progress: bool) -> Iterable[_T]:
    bar: Iterable[_T] = tqdm(items, name, total, disable=not shows_bars(progress), leave=False)
    return bar
