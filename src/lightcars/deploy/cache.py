"""Caches of engines: one folder per entry, with its key, a record and the engine's files. No torch.

A cache is optional: without a writable folder, or with a corrupt entry, commands only take longer.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightcars.errors import RunError
from lightcars.files import file_digest, staging
from lightcars.text import json_text

RECORD_FILE = "record.json"
FORMAT = 2
MAX_ENTRIES = 32
"""The oldest entries beyond this are removed; each is about as large as the weights."""


def cache_folder() -> Path:
    """Return the folder of engines and measurements: in LIGHTCARS_CACHE, or beside torch.hub's folder."""
    if named := os.environ.get("LIGHTCARS_CACHE"):
        return Path(os.path.expanduser(named))  # noqa: PTH111 - of a user without a home too
    if torch := sys.modules.get("torch"):
        return Path(torch.hub.get_dir()).parent / "lightcars"
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")  # as torch.hub, which takes long to import
    home = os.path.expanduser(os.environ.get("TORCH_HOME", f"{caches}/torch"))  # noqa: PTH111
    return Path(home) / "lightcars"


@dataclass(frozen=True, slots=True)
class Entry:
    """An intact entry.

    Attributes:
        folder: holds the files.
        record: the stored data.
    """

    folder: Path
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cache:
    """Entries in a folder, which may not exist yet."""

    folder: Path

    def find(self, key: dict[str, Any]) -> Entry | None:
        """Return the entry of a key, or None if there is none or it is corrupt."""
        folder = self._folder_of(key)
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError):
            content = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
            files: dict[str, str] = content["files"]
            intact = all(file_digest(folder / name) == digest for name, digest in files.items())
            if intact and content["format"] == FORMAT and content["key"] == key:
                return Entry(folder, dict(content["record"]))
        return None

    def store(self, key: dict[str, Any], record: dict[str, Any], files: Iterable[Path]) -> bool:
        """Store copies of the files; return whether that succeeded."""
        place = self._folder_of(key)
        try:
            with staging(place) as stage:
                digests = {}
                for file in files:
                    shutil.copyfile(file, stage / file.name)
                    digests[file.name] = file_digest(file)
                content = {"format": FORMAT, "key": key, "record": record, "files": digests}
                (stage / RECORD_FILE).write_text(json_text(content, indent=1), encoding="utf-8")
        except (RunError, OSError):
            return False
        self._evict_oldest()
        return True

    def remove(self, key: dict[str, Any]) -> None:
        """Remove the entry of a key."""
        shutil.rmtree(self._folder_of(key), ignore_errors=True)

    def _folder_of(self, key: dict[str, Any]) -> Path:
        return self.folder / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]

    def _evict_oldest(self) -> None:
        with suppress(OSError):
            records = sorted(self.folder.glob(f"*/{RECORD_FILE}"), key=lambda path: path.stat().st_mtime)
            for record in records[:-MAX_ENTRIES]:
                shutil.rmtree(record.parent, ignore_errors=True)
