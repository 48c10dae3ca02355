"""Atomic writing of files, and their digests. No torch."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lightcars.errors import LightcarsError, RunError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Create a temporary file beside `path`; it replaces `path` if the block succeeds.

    Raises:
        RunError: the folder cannot be written to, or the disk is full; `path` is unchanged.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error
    finally:
        if temporary is not None:
            with suppress(OSError):  # a second error would hide the first
                temporary.unlink(missing_ok=True)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Create a temporary folder inside `folder`; its files move to `folder` if the block succeeds.

    Otherwise `folder` is unchanged, and removed again if it did not exist.

    Raises:
        RunError: the folder cannot be written to, or the disk is full.
    """
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    stage = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=folder, prefix=".", suffix=".part"))
        yield stage
        for path in sorted(path for path in stage.rglob("*") if path.is_file()):
            _move(path, folder / path.relative_to(stage))
    except OSError as error:
        if isinstance(error, LightcarsError):
            raise
        raise RunError(f"cannot write to {folder}: {error.strerror or error}.") from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):  # those that are not empty stay
                parent.rmdir()


def _move(path: Path, target: Path) -> None:
    with path.open("rb") as written:
        os.fsync(written.fileno())
    path.chmod(0o666 & ~_umask())
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    r"""Write `text` as UTF-8, completely or not at all.

    Bytes of a file name that are not UTF-8 become escapes such as `\udce9`, as JSON has them.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
