"""Files of a data set that are not read, so that nothing is dropped silently."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from lightcars.models.images import is_image

_OF_SYSTEMS = frozenset({"__MACOSX", "Thumbs.db", "thumbs.db", "desktop.ini"})
"""Files and folders that operating systems create."""
RUN_FILE = "run.json"
"""A folder with this file is a run, whose plots are not data."""


def unused_files(root: Path, used: Collection[Path], splits: Collection[Path]) -> tuple[str, ...]:
    """Return notes on images that are not samples, and on other files in the folders of the splits.

    Args:
        root: the folder of the data set.
        used: the image files that are samples.
        splits: the folders of the splits, in which every file should be an image.
    """
    images, others = [], []
    for path in _files(root):
        if path in used:
            continue
        if is_image(path):
            images.append(path)
        elif any(path.is_relative_to(folder) for folder in splits):
            others.append(path)
    notes = []
    if images:
        notes.append(
            f"{_counted(images, 'image')} not used: not in a class folder of a split{_first(images, root)}"
        )
    if others:
        suffixes = ", ".join(sorted({path.suffix or "no suffix" for path in others})[:5])
        notes.append(f"{_counted(others, 'file')} not used: not an image ({suffixes}){_first(others, root)}")
    return tuple(notes)


def _files(root: Path) -> Iterator[Path]:
    """Yield all files but hidden ones and those of run folders; links to folders are followed once."""
    seen = set()
    for folder, inner, files in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen or RUN_FILE in files:
            inner.clear()
            continue
        seen.add(place)
        inner[:] = sorted(filter(_is_shown, inner))
        yield from (Path(folder, name) for name in sorted(files) if _is_shown(name))


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name not in _OF_SYSTEMS


def _counted(paths: Collection[Path], kind: str) -> str:
    return f"1 {kind} is" if len(paths) == 1 else f"{len(paths):,} {kind}s are"


def _first(paths: list[Path], root: Path) -> str:
    return f" (first: {paths[0].relative_to(root)})"
