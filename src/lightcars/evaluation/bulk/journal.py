"""What of a table is done, in a folder beside it, so that the same command goes on after a kill.

    table.csv.part/
      names.jsonl   the names of all images, found once: a folder that changes later changes nothing
      job.json      the settings; written when names.jsonl is complete
      rows.jsonl    one line per image, in the order of the names; appended batch by batch

A line that a kill or a power cut left incomplete is cut off, and its batch is computed again. Batches always
begin at the same images, so that the table does not depend on where it was interrupted. No torch.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from lightcars.errors import RunError
from lightcars.files import replacing, write_text
from lightcars.runs.lock import LOCK_FILE
from lightcars.text import json_text

FORMAT = 1
SYNC_S = 5.0
"""At most so much work is lost in a power cut; a kill of the process loses one batch."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The folder of a table that is being written."""

    folder: Path

    @classmethod
    def beside(cls, table: Path) -> Journal:
        """Return the journal of a table."""
        return cls(table.with_name(f"{table.name}.part"))

    @property
    def names_file(self) -> Path:
        """The names of all images."""
        return self.folder / "names.jsonl"

    @property
    def job_file(self) -> Path:
        """The settings."""
        return self.folder / "job.json"

    @property
    def rows_file(self) -> Path:
        """The rows of the images that are done."""
        return self.folder / "rows.jsonl"

    def make(self) -> None:
        """Create the folder, or check that an existing one holds nothing of others.

        Raises:
            RunError: it is not a folder, it holds files of others but no job, or it cannot be written to.
        """
        if os.path.lexists(self.folder) and (self.folder.is_symlink() or not self.folder.is_dir()):
            raise RunError(
                f"{self.folder} is not a folder that lightcars made; move it, or name another table."
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            foreign = {path.name for path in self.folder.iterdir()} - {path.name for path in self._own()}
        except OSError as error:
            raise RunError(f"cannot write {self.folder}: {error.strerror or error}.") from error
        if foreign and self.settings() is None:
            raise RunError(
                f"{self.folder} contains other files ({min(foreign)}); move it, or name another table."
            )

    def _own(self) -> list[Path]:
        """Return the files of a job that are there, the one first without which it is none."""
        files = (self.job_file, self.rows_file, self.names_file)
        temporaries = [path for file in files for path in self.folder.glob(f".{file.name}.*.part")]
        return [path for path in (*files, *temporaries, self.folder / LOCK_FILE) if os.path.lexists(path)]

    def settings(self) -> dict[str, Any] | None:
        """Return the settings of the job that was begun; None if there is none."""
        with suppress(OSError, ValueError):
            content = json.loads(self.job_file.read_text(encoding="utf-8"))
            if isinstance(content, dict) and content.get("format") == FORMAT and self.names_file.is_file():
                return content
        return None

    def clear(self) -> None:
        """Remove what an earlier job left."""
        for path in (self.job_file, self.rows_file, self.names_file):
            path.unlink(missing_ok=True)

    def store_names(self, names: Iterable[str]) -> int:
        """Write the names of all images; return how many there are."""
        count = 0
        with replacing(self.names_file) as temporary, temporary.open("w", encoding="ascii") as file:
            for name in names:
                file.write(f"{json.dumps(name)}\n")
                count += 1
        return count

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Write the settings, after the names."""
        write_text(self.job_file, json_text({"format": FORMAT, **settings}))

    def names(self) -> Iterator[str]:
        """Yield the names of all images."""
        with self.names_file.open(encoding="ascii") as file:
            yield from map(json.loads, file)

    def count_names(self) -> int:
        """Return the number of images."""
        with self.names_file.open("rb") as file:
            return sum(1 for _ in file)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows that are done."""
        with self.rows_file.open(encoding="utf-8") as file:
            yield from map(json.loads, file)

    def recover(self, batch_size: int) -> int:
        """Cut off an incomplete batch; return how many images are done."""
        if not self.rows_file.exists():
            return 0
        count = done = end = done_end = 0
        names = self.names()
        with self.rows_file.open("rb") as file:
            for line in file:
                name = next(names, None)
                if name is None or not _is_row(line, name):
                    break
                count, end = count + 1, end + len(line)
                if count % batch_size == 0:
                    done, done_end = count, end
            else:
                if next(names, None) is None:
                    done, done_end = count, end
        os.truncate(self.rows_file, done_end)
        return done

    def remaining(self, done: int) -> Iterator[str]:
        """Yield the names of the images that are not done."""
        yield from islice(self.names(), done, None)

    @contextmanager
    def writer(self) -> Iterator[Writer]:
        """Open the rows to append to them.

        Raises:
            RunError: the disk is full, or the folder cannot be written to.
        """
        try:
            with self.rows_file.open("ab") as file:
                writer = Writer(file)
                yield writer
                writer.sync()
        except OSError as error:
            raise RunError(f"cannot write {self.rows_file}: {error.strerror or error}.") from error

    def remove(self) -> None:
        """Remove the job once the table is complete; files of others stay."""
        with suppress(OSError):
            for path in self._own():
                path.unlink()
            self.folder.rmdir()


class Writer:
    """Appends batches of rows."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._synced = file, time.monotonic()

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append the rows of a batch; they survive the end of the process."""
        text = "".join(f"{json_text(row, indent=None)}\n" for row in rows)
        self._file.write(text.encode("utf-8", "backslashreplace"))
        self._file.flush()
        if time.monotonic() - self._synced > SYNC_S:
            self.sync()

    def sync(self) -> None:
        """Let the rows survive a power cut."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()


def _is_row(line: bytes, name: str) -> bool:
    """Return whether a line is complete and of an image."""
    with suppress(ValueError):
        row = json.loads(line)
        return line.endswith(b"\n") and isinstance(row, dict) and row.get("image") == name
    return False
