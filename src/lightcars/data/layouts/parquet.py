"""Parquet files with the columns `image` and `label`, as on the Hugging Face Hub.

Training reads image files, so `lightcars data prepare` extracts them, byte for byte. The split
is the beginning of a file's name (`train-00000-of-00002.parquet`) or its folder (`train/0000.parquet`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from lightcars.data.layouts.folders import known_classes
from lightcars.data.layouts.splits import split_of
from lightcars.data.records import Split
from lightcars.data.stanford_cars import CLASS_NAMES, class_index
from lightcars.errors import DataError, MissingExtraError

NAME = "parquet"
BATCH_ROWS = 32
_DEPTHS = ("*.parquet", "*/*.parquet", "*/*/*.parquet")
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})")
_SUFFIXES = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG", ".png"), (b"RIFF", ".webp"), (b"BM", ".bmp"))


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """One row: an encoded image with its label.

    Attributes:
        where: position of the row, for errors.
        content: bytes of the image file.
        suffix: file name suffix of its format.
        label: class index, from 0.
    """

    where: str
    content: bytes
    suffix: str
    label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetData:
    """The parquet files of a data set.

    Attributes:
        classes: class names, by label.
        files: files of each split, in order.
        num_rows: number of rows of each split.
        notes: what was not used or assumed.
    """

    classes: tuple[str, ...]
    files: Mapping[Split, tuple[Path, ...]]
    num_rows: Mapping[Split, int]
    notes: tuple[str, ...]


def recognizes(root: Path) -> bool:
    """Return whether there are parquet files."""
    return any(True for pattern in _DEPTHS for _ in root.glob(pattern))


def read(root: Path) -> NoReturn:
    """Raise an error that says how to convert them to class folders."""
    raise DataError(
        f"{root} contains parquet files; convert them to class folders: lightcars data prepare {root} DST"
    )


def open_parquet(root: Path) -> ParquetData:
    """Read the names and schemas of the files.

    Raises:
        DataError: a file is missing or corrupt, or has other columns or classes.
        MissingExtraError: pyarrow is not installed.
    """
    files, others = _files(root)
    if not files:
        raise DataError(f"{root} has no parquet files of train, val or test, only {', '.join(others)}.")
    heads = {path: _head(path) for paths in files.values() for path in paths}
    lists = {_class_list(path, head.schema_arrow) for path, head in heads.items()}
    if len(lists) > 1:
        raise DataError(f"the parquet files of {root} have different lists of classes.")
    (listed,) = lists
    notes = [f"parquet files of {', '.join(others)} are not used"] if others else []
    if listed is None:
        notes.append("the labels have no names; the order of the devkit is assumed")
    return ParquetData(
        classes=CLASS_NAMES if listed is None else _in_devkit_order(listed),
        files=files,
        num_rows={
            split: sum(heads[path].metadata.num_rows for path in paths) for split, paths in files.items()
        },
        notes=tuple(notes),
    )


def encoded_images(data: ParquetData, split: Split) -> Iterator[EncodedImage]:
    """Yield the rows of one split, in order; only some of them are in memory at a time.

    Raises:
        DataError: a row has no image, no label, or a label out of range.
    """
    for path in data.files[split]:
        head = _head(path)
        listed = _class_list(path, head.schema_arrow)
        number = 0
        for batch in _batches(head, path):
            for row in batch:
                number += 1
                where = f"{path}, row {number}"
                content = _content(row["image"], where)
                yield EncodedImage(
                    where, content, _suffix(content), _label(row["label"], where, listed, data.classes)
                )


def _files(root: Path) -> tuple[dict[Split, tuple[Path, ...]], list[str]]:
    """Return the files of each split, and the names of other splits."""
    found: dict[Split, list[Path]] = {}
    others: set[str] = set()
    for path in sorted(path for pattern in _DEPTHS for path in root.glob(pattern)):
        name = _split_name(path)
        split = split_of(name)
        if split is None:
            others.add(name)
        else:
            found.setdefault(split, []).append(path)
    for paths in found.values():
        _check_all_there(paths)
    ordered: tuple[Split, ...] = ("train", "val", "test")
    return {split: tuple(found[split]) for split in ordered if split in found}, sorted(others)


def _split_name(path: Path) -> str:
    shard = _SHARD.fullmatch(path.stem)
    name = shard[1] if shard else path.stem
    return path.parent.name if name.isdigit() else name


def _check_all_there(paths: Sequence[Path]) -> None:
    for path in paths:
        shard = _SHARD.fullmatch(path.stem)
        if shard is None:
            continue
        for number in range(int(shard[3])):
            sibling = path.with_name(f"{shard[1]}-{number:05d}-of-{shard[3]}.parquet")
            if sibling not in paths:
                raise DataError(f"{sibling} is missing; the copy is incomplete.")


def _head(path: Path) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("reading parquet needs pyarrow: pip install 'lightcars[parquet]'") from error
    try:
        head = ParquetFile(path)
        columns = head.schema_arrow.names
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as parquet ({_line(error)}); copy it again.") from error
    if "image" not in columns or "label" not in columns:
        raise DataError(f"{path} has no columns image and label; it has {', '.join(columns)}.")
    return head


def _batches(head: Any, path: Path) -> Iterator[list[dict[str, Any]]]:
    from pyarrow import ArrowException

    try:
        for batch in head.iter_batches(batch_size=BATCH_ROWS, columns=["image", "label"]):
            yield batch.to_pylist()
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as parquet ({_line(error)}); copy it again.") from error


def _class_list(path: Path, schema: Any) -> tuple[str, ...] | None:
    """Return the class names that the library `datasets` stores in the schema metadata, by label."""
    try:
        kept = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = kept.get("info", {}).get("features", {}).get("label", {}).get("names")
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path} has metadata that cannot be read ({error}).") from error
    return None if names is None else tuple(map(str, names))


def _in_devkit_order(listed: tuple[str, ...]) -> tuple[str, ...]:
    """Return `CLASS_NAMES` if all of them are listed, in any order; else the list."""
    try:
        if {class_index(name) for name in listed} == set(range(len(CLASS_NAMES))):
            return CLASS_NAMES
    except DataError:
        pass
    return known_classes(listed)


def _label(value: Any, where: str, listed: tuple[str, ...] | None, classes: tuple[str, ...]) -> int:
    if isinstance(value, int):
        names = listed or classes
        if 0 <= value < len(names):
            value = names[value]
        else:
            raise DataError(f"{where}: label {value} is not one of 0 to {len(names) - 1}.")
    if not isinstance(value, str):
        raise DataError(f"{where}: label {value!r} is neither a number nor a name.")
    try:
        return class_index(value, classes)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _content(value: Any, where: str) -> bytes:
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes) or not content:
        raise DataError(f"{where} has no image.")
    return content


def _suffix(content: bytes) -> str:
    return next((suffix for start, suffix in _SUFFIXES if content.startswith(start)), ".jpg")


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
