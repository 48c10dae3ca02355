"""The prepared engine of weights: where it is cached, and whether it still belongs to them. No torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lightcars.deploy.cache import Cache, Entry, cache_folder
from lightcars.deploy.cpu import cpu_name
from lightcars.deploy.packages import require
from lightcars.errors import MissingExtraError
from lightcars.evaluation.guesses import OWN_WEIGHTS
from lightcars.runs.places import RUN_FILE, holds_model
from lightcars.version import __version__
from lightcars.weights.hub import BEST, CONFIG_FILE, FAMILIARITY_FILE, WEIGHTS_FILES

SWITCH = "LIGHTCARS_PREDICT_CACHE"
"""Environment variable; with "0" no engine is prepared and none is used."""
State: TypeAlias = list[int] | None
"""Size, times and inode of a file; None if there is none."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the engine of some weights is cached.

    Attributes:
        cache: holds it.
        key: of the weights' name, this machine and the versions.
    """

    cache: Cache
    key: dict[str, Any]

    def find(self) -> Entry | None:
        """Return the entry; None if there is none, it is corrupt, or the weights' files have changed."""
        entry = self.cache.find(self.key)
        if entry is None:
            return None
        watched = entry.record.get("watched")
        if not isinstance(watched, list) or not watched or not all(isinstance(path, str) for path in watched):
            return None
        return entry if states(watched) == entry.record.get("states") else None

    def can_store(self) -> bool:
        """Return whether the cache can be written to."""
        folders = (self.cache.folder, *self.cache.folder.parents)
        existing = next(folder for folder in folders if os.path.exists(folder))  # noqa: PTH110 - never raises
        return os.access(existing, os.W_OK | os.X_OK)


def place_of(run: str) -> Place | None:
    """Return where the engine of weights is cached.

    None for weights on the Hub, which may change there, and where ONNX Runtime is not installed.

    Args:
        run: a run folder, a checkpoint folder or a tag of published weights.
    """
    try:
        engine = require("onnxruntime")
    except MissingExtraError:
        return None
    name = _name_of(run)
    if name is None:
        return None
    versions = {"lightcars": __version__, "onnxruntime": engine.__version__, "python": sys.version}
    key = {"weights": name, "machine": cpu_name(), "versions": versions}
    return Place(Cache(cache_folder() / "predict"), key)


def _name_of(run: str) -> str | None:
    path = Path(run)
    if holds_model(path):
        return f"folder {path.resolve()}"
    if run == OWN_WEIGHTS:
        return f"tag {run}"
    from lightcars.weights.catalog import find_tag  # takes long to import

    entry = find_tag(run)
    return None if entry is None else f"tag {entry.tag}"


def files_of(folder: Path) -> list[str]:
    """Return the files from which the model of a run folder or a checkpoint folder is loaded."""
    inner = folder if (folder / CONFIG_FILE).is_file() else folder / BEST
    names = (CONFIG_FILE, *WEIGHTS_FILES, FAMILIARITY_FILE)
    files = [inner / name for name in names]
    return [str(file.resolve()) for file in ([*files, folder / RUN_FILE] if inner != folder else files)]


def states(files: Iterable[str]) -> list[State]:
    """Return what tells whether files have changed, without reading them."""
    return [_state(file) for file in files]


def _state(file: str) -> State:
    try:
        status = os.stat(file)  # noqa: PTH116 - any text
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
