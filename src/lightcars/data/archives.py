"""Unpack archives from untrusted sources: no file is written outside of the target folder. No torch."""

from __future__ import annotations

import errno
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from lightcars.errors import DataError
from lightcars.progress import shows_bars

SUFFIXES = (".tgz", ".tar.gz", ".tar", ".zip")
MAX_FILES = 250_000
MAX_BYTES = 64 << 30
MAX_RATIO = 100
"""How many times larger than the archive its files may be, beyond `FREE_BYTES`. Images hardly compress."""
FREE_BYTES = 1 << 30
"""Stanford Cars has 16,185 images in 2 GB; far more than that is not an image data set."""
_CHUNK_BYTES = 1 << 20
_DRIVE = re.compile(r"[A-Za-z]:")


def is_archive(path: Path) -> bool:
    """Return whether `unpack` supports a file, by its name."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def unpack(archive: Path, folder: Path, *, progress: bool = False) -> None:
    """Write the files of an archive below `folder`, which exists; existing files are replaced.

    Only regular files and folders are allowed. Metadata files of macOS are left out.

    Raises:
        DataError: the archive is corrupt, truncated or encrypted, contains a link, a device or a path outside
            of the folder, or exceeds the limits; the message names the archive and the entry.
    """
    with _explained(archive), archive.open("rb") as file:
        bar = tqdm(
            desc=f"unpacking {archive.name}",
            total=archive.stat().st_size,
            unit="B",
            unit_scale=True,
            disable=not shows_bars(progress),
            leave=False,
        )
        with bar:
            bytes_left = min(MAX_BYTES, FREE_BYTES + MAX_RATIO * archive.stat().st_size)
            for number, (name, content) in enumerate(_entries(archive, file), 1):
                if number > MAX_FILES:
                    raise DataError(
                        f"{archive} contains more than {MAX_FILES:,} entries; nothing was unpacked."
                    )
                target = folder / _safe(name, archive)
                if content is None:
                    target.mkdir(parents=True, exist_ok=True)
                elif "__MACOSX" not in target.parts and not target.name.startswith("._"):
                    bytes_left = _write(content, target, bytes_left, archive)
                bar.update(file.tell() - bar.n)


def _entries(archive: Path, file: IO[bytes]) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield name and content of each entry; None for a folder."""
    if archive.name.lower().endswith(".zip"):
        yield from _zip_entries(archive, file)
        return
    with tarfile.open(fileobj=file, mode="r:*") as tar:
        for member in tar:
            if not (member.isreg() or member.isdir()):
                raise DataError(f"{archive}: {member.name!r} is a link or a device; nothing was unpacked.")
            if member.issparse():
                raise DataError(f"{archive}: {member.name!r} is a sparse file; nothing was unpacked.")
            yield member.name, tar.extractfile(member) if member.isreg() else None
        _check_end(tar, file)


def _check_end(tar: tarfile.TarFile, file: IO[bytes]) -> None:
    """Raise if the end is missing: tarfile accepts a cut between entries, and ignores gzip's checksum."""
    if tar.fileobj is file:
        file.seek(tar.offset)
        if len(file.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
            raise EOFError("its end is missing")
    elif tar.fileobj is not None:
        while tar.fileobj.read(_CHUNK_BYTES):
            pass


def _zip_entries(archive: Path, file: IO[bytes]) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(file) as zipped:
        for member in zipped.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(
                    f"{archive}: {member.filename!r} is a link or a device; nothing was unpacked."
                )
            if member.flag_bits & 1:
                raise DataError(f"{archive}: {member.filename!r} is encrypted; unpack it yourself.")
            if member.is_dir():
                yield member.filename, None
                continue
            with zipped.open(member) as content:
                yield member.filename, content


def _safe(name: str, archive: Path) -> PurePosixPath:
    """Return the name as a relative path that stays below the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or _DRIVE.match(name) or "\0" in name:
        raise DataError(f"{archive}: {name!r} is outside of the folder; nothing was unpacked.")
    return path


def _write(content: IO[bytes], target: Path, bytes_left: int, archive: Path) -> int:
    """Copy one file and return the number of bytes that are left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while chunk := content.read(_CHUNK_BYTES):
            bytes_left -= len(chunk)
            if bytes_left < 0:
                raise DataError(
                    f"{archive} unpacks to more than {MAX_BYTES >> 30} GiB, or to more than {MAX_RATIO} times"
                    " its size; nothing was unpacked."
                )
            file.write(chunk)
    return bytes_left


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    try:
        yield
    except DataError:  # a ValueError too
        raise
    except (
        tarfile.TarError,
        BadGzipFile,
        zipfile.BadZipFile,
        zlib.error,
        LZMAError,
        EOFError,
        NotImplementedError,
        ValueError,  # headers of tar with numbers that are not numbers; UnicodeError is one too
        IndexError,  # a zip entry without a name
        OverflowError,
        MemoryError,
        RuntimeError,
    ) as error:
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise DataError(f"{archive} is corrupt or truncated ({reason}); copy it again.") from error
    except OSError as error:
        # EINVAL: a header that points before the begin of the file
        if error.errno in (None, errno.EINVAL) or error.filename == os.fspath(archive):
            raise DataError(
                f"{archive} cannot be read ({error.strerror or error}); copy it again."
            ) from error
        raise
