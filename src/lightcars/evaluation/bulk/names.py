"""Names of images: from folders, patterns and lists, one after the other, in the order of their names.

No list of all names is ever in memory. No torch.
"""

from __future__ import annotations

import glob
import heapq
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO

from lightcars.errors import DataError, InputError
from lightcars.models.images import IMAGE_SUFFIXES, is_image

STDIN = "-"
SORTED_IN_MEMORY = 65_536
"""Names of one folder; more are sorted in temporary files."""
_WEB = ("http://", "https://")


def is_url(name: str) -> bool:
    """Return whether a name is an address on the web.

    >>> is_url("https://example.org/car.jpg"), is_url("car.jpg")
    (True, False)
    """
    return name.lower().startswith(_WEB)


def is_pattern(name: str) -> bool:
    """Return whether a name is a pattern such as `cars/**/*.jpg`, and not a file of that name."""
    return not is_url(name) and glob.has_magic(name) and not os.path.lexists(name)


def is_several(name: str) -> bool:
    """Return whether a name may stand for more than one image."""
    return is_pattern(name) or (not is_url(name) and Path(name).is_dir())


def check_name(name: str) -> None:
    """Check the name of an image, a folder or a pattern.

    Raises:
        InputError: it is empty, or an address of another kind than HTTP.
    """
    if not name:
        raise InputError("the name of an image is empty; is a shell variable unset?")
    if "://" in name and not is_url(name):
        raise InputError(f"{name} is neither a file nor an http:// or https:// address.")


def find_names(sources: Iterable[str]) -> Iterator[str]:
    """Yield the names of images.

    A folder stands for all images in it and in its folders, a pattern for all images that it matches. Other
    names are taken as they are.

    Raises:
        InputError: see `check_name`.
        DataError: a folder without images or that cannot be read, or a pattern that matches none.
    """
    for source in sources:
        check_name(source)
        if is_pattern(source):
            matches = filter(_is_image_path, glob.iglob(source, recursive=True))  # noqa: PTH207
            yield from _at_least_one(in_order(matches), f"no image matches {source}.")
        elif is_several(source):
            problem = f"there are no images in {source}, and it is neither a run nor a checkpoint."
            yield from _at_least_one(_below(source, ()), problem)
        else:
            yield source


def read_names(file: IO[str], separator: str = "\n") -> Iterator[str]:
    r"""Yield the names in a list, one a line, or separated by "\0" as `find -print0` writes them."""
    rest = ""
    while chunk := file.read(1 << 16):
        *whole, rest = (rest + chunk).split(separator)
        yield from filter(None, (_without_return(name, separator) for name in whole))
    if last := _without_return(rest, separator):
        yield last


def in_order(names: Iterable[str]) -> Iterator[str]:
    """Yield names sorted; more than `SORTED_IN_MEMORY` are sorted in temporary files."""
    remaining = iter(names)
    first = sorted(islice(remaining, SORTED_IN_MEMORY))
    if len(first) < SORTED_IN_MEMORY:
        yield from first
        return
    with ExitStack() as stack:
        runs = [_stored(first, stack)]
        while part := sorted(islice(remaining, SORTED_IN_MEMORY)):
            runs.append(_stored(part, stack))
        yield from heapq.merge(*runs)


def _without_return(name: str, separator: str) -> str:
    return name.removesuffix("\r") if separator == "\n" else name


def _at_least_one(names: Iterator[str], problem: str) -> Iterator[str]:
    first = next(names, None)
    if first is None:
        raise DataError(problem)
    yield first
    yield from names


def _below(folder: str, parents: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Yield the images of a folder, then those of its folders; links to a folder above are not followed."""
    try:
        found = os.stat(folder)  # noqa: PTH116 - names stay strings, a million of them
        identity = (found.st_dev, found.st_ino)
        if identity in parents:
            return
        yield from in_order(entry.path for entry in _entries(folder) if _is_image(entry))
        for inner in in_order(entry.path for entry in _entries(folder) if entry.is_dir()):
            yield from _below(inner, (*parents, identity))
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}.") from error


def _is_image_path(name: str) -> bool:
    return is_image(Path(name))


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _is_image(entry: os.DirEntry[str]) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
    if suffix:
        return suffix in IMAGE_SUFFIXES and entry.is_file()
    return is_image(Path(entry.path))


def _stored(names: list[str], stack: ExitStack) -> Iterator[str]:
    """Write names to a temporary file, which is removed with the stack, and return what reads them again."""
    file = stack.enter_context(tempfile.TemporaryFile("w+", encoding="ascii"))  # noqa: SIM115
    file.writelines(f"{json.dumps(name)}\n" for name in names)
    file.seek(0)
    return map(json.loads, file)
