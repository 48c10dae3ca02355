"""What `optimize` remembers between processes: folders, each with its key, a record and files. No torch.

Nothing here is needed: a folder that cannot be written to, or an entry that is damaged, costs time and
nothing else.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightcars.errors import RunError
from lightcars.files import staging

RECORD_FILE = "record.json"
FORMAT = 1
MOST_ENTRIES = 32
"""The oldest ones go when there are more; each is about as large as the weights."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry that is whole.

    Attributes:
        folder: with the files.
        record: what was remembered.
    """

    folder: Path
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cache:
    """Entries in a folder, which need not be there."""

    folder: Path

    def find(self, key: dict[str, Any]) -> Entry | None:
        """The entry of that key, if there is one and none of its files was changed."""
        folder = self._place(key)
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            content = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
            files: dict[str, str] = content["files"]
            whole = all(_digest(folder / name) == digest for name, digest in files.items())
            if whole and content["format"] == FORMAT and content["key"] == key:
                return Entry(folder, dict(content["record"]))
        return None

    def store(self, key: dict[str, Any], record: dict[str, Any], files: Iterable[Path]) -> bool:
        """Remembers copies of the files; whether that was possible."""
        place = self._place(key)
        try:
            with staging(place) as stage:
                digests = {}
                for file in files:
                    shutil.copyfile(file, stage / file.name)
                    digests[file.name] = _digest(file)
                content = {"format": FORMAT, "key": key, "record": record, "files": digests}
                (stage / RECORD_FILE).write_text(json.dumps(content, indent=1), encoding="utf-8")
        except (RunError, OSError):
            return False
        self._forget_oldest()
        return True

    def forget(self, key: dict[str, Any]) -> None:
        """Removes the entry of that key."""
        shutil.rmtree(self._place(key), ignore_errors=True)

    def _place(self, key: dict[str, Any]) -> Path:
        return self.folder / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]

    def _forget_oldest(self) -> None:
        with suppress(OSError):
            records = sorted(self.folder.glob(f"*/{RECORD_FILE}"), key=lambda path: path.stat().st_mtime)
            for record in records[:-MOST_ENTRIES]:
                shutil.rmtree(record.parent, ignore_errors=True)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
