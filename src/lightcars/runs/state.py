"""The state that a run is resumed from: its checksum, the one before, and what a killed process left."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import IO, final

import torch

from lightcars.errors import RunError
from lightcars.files import file_digest, write_text
from lightcars.runs.folder import RunFolder

CHECKSUMS = "sha256.json"
"""Digests of the last checkpoints, newest first. A digest is noted before its file takes its place, so the
list is right whenever the process is killed."""
KEPT_DIGESTS = 3


def restore_state(run: RunFolder) -> str | None:
    """Check a run's `last.ckpt`; if it is damaged or missing, put the checkpoint before in its place.

    Returns:
        A warning for the user, in one line; None if the checkpoint is undamaged.

    Raises:
        RunError: no checkpoint is undamaged, so the run cannot be resumed.
    """
    last, previous = run.resumable, run.previous
    if last.is_file() and _is_whole(last):
        return None
    state = "damaged" if last.exists() else "missing"
    if previous.is_file() and _is_whole(previous):
        _put_in_place(previous, last)
        return f"{last} was {state}; the run continues from the epoch before ({previous.name})."
    if last.exists():
        raise RunError(
            f"{last} is damaged, so the run cannot be resumed; start again in another folder"
            f" ({run.best} holds the best model so far)."
        )
    if _digests(last) or _epochs_done(run) > 1:  # else it was stopped before the first one was written
        return f"{last} is missing; the run starts again from its first epoch."
    return None


def remove_partial(run: RunFolder) -> None:
    """Remove the temporary files of a process that was killed; only while the run is locked."""
    for path in run.path.rglob(".*.part"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@final
class HashingWriter:
    """A file that computes the digest of what is written.

    A full disk is an OSError, as in any other file; torch may raise another error over it, so it is kept.

    Attributes:
        problem: the first error.
    """

    problem: OSError | None = None

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of what was written."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.problem = self.problem or error
            raise

    def flush(self) -> None:
        self._file.flush()


def keep_previous(last: Path) -> None:
    """Keep the checkpoint that is about to be replaced as `previous.ckpt`."""
    if last.exists():
        _put_in_place(last, RunFolder(last.parent.parent).previous)


def note_digest(target: Path, digest: str) -> None:
    """Note the digest of a checkpoint that is about to take the place of `target`."""
    before = _digests(target)
    if not before and target.is_file():  # of a version that wrote no digests
        before = [file_digest(target)]
    digests = [digest, *before][:KEPT_DIGESTS]
    write_text(target.parent / CHECKSUMS, json.dumps(digests) + "\n")


def _digests(target: Path) -> list[str]:
    """Return the digests noted in a folder; none in older runs, or if the list is damaged."""
    try:
        content = json.loads((target.parent / CHECKSUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return content if isinstance(content, list) and all(isinstance(item, str) for item in content) else []


def _is_whole(path: Path) -> bool:
    known = _digests(path)
    return file_digest(path) in known if known else _can_be_loaded(path)


def _can_be_loaded(path: Path) -> bool:
    """Tell whether the archive's own checksums are right and torch loads it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return False
        torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception:
        return False
    return True


def _epochs_done(run: RunFolder) -> int:
    try:
        return len(run.table.read_text(encoding="utf-8").splitlines()) - 1
    except (OSError, UnicodeDecodeError):
        return 0


def _put_in_place(source: Path, target: Path) -> None:
    """Let `target` be the same file as `source`, at once; a copy where there are no hard links."""
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)
    temporary.unlink(missing_ok=True)  # of two links to one file, replacing leaves both
