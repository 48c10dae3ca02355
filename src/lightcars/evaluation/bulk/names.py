"""Names of images: from folders, patterns and lists, one after the other, in the order of their names.

No list of all names is ever in memory. No torch.
"""

from __future__ import annotations

import glob
import heapq
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import groupby, islice
from pathlib import Path
from typing import IO

from lightcars.errors import DataError, InputError
from lightcars.models.images import IMAGE_SUFFIXES, is_image

STDIN = "-"
SORTED_IN_MEMORY = 65_536
"""Names of one folder; more are sorted in temporary files."""
_WEB = ("http://", "https://")
_SEPARATORS = re.escape(os.sep + (os.altsep or ""))
_DEEP = re.compile(rf"(|.*?[{_SEPARATORS}])\*\*(?:[{_SEPARATORS}](.*))?", re.DOTALL)
"""A pattern with `**`: what is before the first one, and what is after it."""
_UTF_16 = ("\udcff\udcfe", "\udcfe\udcff")
"""How a list in UTF-16 begins, read as UTF-8."""


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
    return is_pattern(name) or (not is_url(name) and os.path.isdir(name))  # noqa: PTH112 - False for a name that is too long


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
            matches = in_order(filter(_is_image_path, _matches(source)))
            unique = (literal(name) for name, _ in groupby(matches))
            yield from at_least_one(unique, f"no image matches {source}.")
        elif is_several(source):
            problem = f"there are no images in {source}, and it is neither a run nor a checkpoint."
            yield from at_least_one(_below(source, ()), problem)
        else:
            yield source


def read_names(file: IO[str], separator: str = "\n") -> Iterator[str]:
    r"""Yield the names in a list, one a line, or separated by "\0" as `find -print0` writes them.

    Raises:
        InputError: it is not UTF-8, or a line has a NUL byte.
    """
    rest, chunk = "", file.read(1 << 16).removeprefix("\ufeff")
    if chunk.startswith(_UTF_16):
        raise InputError("the list of names is in UTF-16; save it as UTF-8.")
    while chunk:
        *whole, rest = (rest + chunk).split(separator)
        yield from filter(None, (_from_list(name, separator) for name in whole))
        chunk = file.read(1 << 16)
    if last := _from_list(rest, separator):
        yield last


def literal(name: str) -> str:
    """Return a name that stands for a file, also if the file is called `-`."""
    return os.path.join(os.curdir, name) if name == STDIN else name  # noqa: PTH118


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


def _from_list(name: str, separator: str) -> str:
    if separator != "\0" and "\0" in name:
        raise InputError("the list of names has NUL bytes; if they separate names, give -0 (--null).")
    return literal(name.removesuffix("\r") if separator == "\n" else name)


def at_least_one(names: Iterator[str], problem: str) -> Iterator[str]:
    """Yield the names.

    Raises:
        DataError: `problem`, if there are none.
    """
    first = next(names, None)
    if first is None:
        raise DataError(problem)
    yield first
    yield from names


def _matches(pattern: str) -> Iterator[str]:
    """Yield what a pattern matches, some more than once; `**` does not follow links to a folder above."""
    deep = _DEEP.fullmatch(pattern)
    if deep is None:
        yield from glob.iglob(pattern)  # noqa: PTH207
        return
    before, after = deep[1], "*" if deep[2] is None else deep[2]
    for start in glob.iglob(before) if glob.has_magic(before) else (before,):  # noqa: PTH207
        for folder in _folders(start, ()):
            yield from _matches(os.path.join(glob.escape(folder), after))  # noqa: PTH118


def _folders(folder: str, parents: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Yield a folder and all below it; those that cannot be read are left out, as `glob` does."""
    with suppress(OSError):
        found = os.stat(folder or os.curdir)  # noqa: PTH116
        identity = (found.st_dev, found.st_ino)
        if identity in parents:
            return
        inner = sorted(entry.name for entry in _entries(folder or os.curdir) if entry.is_dir())
        yield folder
        for name in inner:
            yield from _folders(os.path.join(folder, name), (*parents, identity))  # noqa: PTH118


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
