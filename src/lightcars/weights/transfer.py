"""Fetch what a partial file still lacks over HTTP, and only if it is a part of the same file. No torch."""

from __future__ import annotations

import os
import shutil
import stat
import time
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any, BinaryIO
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from tqdm import tqdm

from lightcars.errors import DownloadError
from lightcars.files import write_text

TIMEOUT_S = 30.0
"""Without a byte."""
CHUNK_BYTES = 1 << 20
MAX_BYTES = 4 << 30
"""Of a file of weights; published ones of EfficientNet-L2 have two."""
WINDOW_S = 60.0
SLOWEST_BYTES_PER_S = 1024
"""Average of a window below which a connection counts as stalled."""
LIMIT_S = 6 * 3600.0
"""For one connection, however fast it is."""
_MAX_VALIDATOR = 1024
"""Characters of an ETag or a date."""


def fetch_rest(url: str, part: Path, *, is_pinned: bool, progress: bool) -> None:
    """Download what `part` still lacks; from the beginning if it could be of another file.

    A download is resumed where its content is pinned by a digest, or where the server said which version
    the part is of (ETag or Last-Modified) and still has that version.

    Args:
        url: of the file.
        part: the partial file, which may not exist; what identifies its version lies beside it.
        is_pinned: whether the digest of the whole file is checked afterwards.
        progress: show a progress bar.

    Raises:
        DownloadError: a file that is too large, a redirect to something else than HTTP, or a part that is a
            link.
        ConnectionError: it did not come completely, or too slowly.
        OSError: others of the network and the disk.
    """
    have, validator = _size(part), _read_validator(part)
    request = Request(url, headers={"User-Agent": "lightcars", "Accept-Encoding": "identity"})
    if have and (is_pinned or validator):
        request.add_header("Range", f"bytes={have}-")
        if validator:
            request.add_header("If-Range", validator)
    with web_opener().open(request, timeout=TIMEOUT_S) as response:
        resumed = response.status == 206
        if resumed:
            _check_range(response, part, have)
        else:
            have = 0
        length = _length(response)
        total = None if length is None else have + length
        _check_space(url, part, total, have)
        with _opened(part, resumed=resumed) as file:
            if not resumed:
                _write_validator(part, response)
            _copy(response, file, have, total, url, part.stem, progress=progress)
    if total is not None and _size(part) != total:
        raise ConnectionError(f"{_size(part)} of {total} bytes were received")


def is_resumable(part: Path, *, is_pinned: bool) -> bool:
    """Return whether the next attempt will go on from `part`."""
    return _size(part) > 0 and (is_pinned or _read_validator(part) is not None)


def remove_part(part: Path) -> None:
    """Remove a partial file and what identifies its version."""
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def put_in_place(part: Path, target: Path) -> None:
    """Give a complete file its name."""
    part.replace(target)
    _validator_file(part).unlink(missing_ok=True)


class _HttpOnly(HTTPRedirectHandler):
    """Follows redirects to web servers only; urllib's own goes to FTP servers too."""

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError:  # a malformed address; urllib leaves the connection open
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        allowed = ("https",) if urlsplit(req.full_url).scheme == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            fp.close()
            kind = "an HTTPS address" if allowed == ("https",) else "an HTTP address"
            raise DownloadError(f"{req.full_url} redirects to {newurl}, which is not {kind}.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def web_opener() -> OpenerDirector:
    """Return an opener of addresses that never leaves the web, whatever it is redirected to."""
    return build_opener(_HttpOnly)


def _size(part: Path) -> int:
    """Return the bytes that are there.

    Raises:
        DownloadError: it is a link or no regular file, so that writing to it would change another file.
    """
    try:
        found = part.lstat()
    except FileNotFoundError:
        return 0
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise DownloadError(f"{part} is a link or not a regular file; remove it.")
    return found.st_size


def _opened(part: Path, *, resumed: bool) -> BinaryIO:
    no_link = getattr(os, "O_NOFOLLOW", 0)
    flags = os.O_WRONLY | os.O_CREAT | no_link | (os.O_APPEND if resumed else os.O_TRUNC)
    return os.fdopen(os.open(part, flags, 0o666), "wb")


def _check_range(response: HTTPResponse, part: Path, have: int) -> None:
    """Raise a ConnectionError, after which all is fetched again, if an answer does not continue the part."""
    answered, version = response.headers.get("Content-Range", ""), _version(response)
    if not answered.startswith(f"bytes {have}-") or version not in (None, _read_validator(part) or version):
        remove_part(part)
        raise ConnectionError(f"the server gave {answered[:100] or 'no range'} for bytes {have}-")


def _length(response: HTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _check_space(url: str, part: Path, total: int | None, have: int) -> None:
    if total is None:
        return
    if total > MAX_BYTES:
        raise DownloadError(f"{url} has {total} bytes; the limit is {MAX_BYTES}.")
    free = shutil.disk_usage(part.parent).free
    if total - have > free:
        raise DownloadError(f"{url} needs {total - have} bytes, and {part.parent} has {free} free.")


def _copy(
    response: HTTPResponse,
    file: BinaryIO,
    have: int,
    total: int | None,
    url: str,
    name: str,
    *,
    progress: bool,
) -> None:
    pace = _Pace()
    with tqdm(
        desc=name,
        initial=have,
        total=total,
        unit="B",
        unit_scale=True,
        disable=None if progress else True,  # None: only where someone looks
        leave=False,
    ) as bar:
        while chunk := read_some(response):
            have += len(chunk)
            if have > MAX_BYTES:
                raise DownloadError(f"{url} gave more than {MAX_BYTES} bytes, which is the limit.")
            file.write(chunk)
            bar.update(len(chunk))
            pace.add(len(chunk))


class _Pace:
    """Raises a ConnectionError if bytes come too slowly, or for too long."""

    def __init__(self) -> None:
        self._start = self._window = time.monotonic()
        self._bytes = 0

    def add(self, num_bytes: int) -> None:
        self._bytes += num_bytes
        now = time.monotonic()
        if now - self._start > LIMIT_S:
            raise ConnectionError(f"it takes longer than {LIMIT_S / 3600:g} hours")
        if now - self._window > WINDOW_S:
            if self._bytes < SLOWEST_BYTES_PER_S * WINDOW_S:
                raise ConnectionError(f"only {self._bytes} bytes came in {WINDOW_S:g} s")
            self._window, self._bytes = now, 0


def read_some(response: HTTPResponse) -> bytes:
    """Return what has come; every error of the connection is a ConnectionError, unlike those of the disk."""
    try:
        return response.read1(CHUNK_BYTES)
    except OSError as error:
        raise ConnectionError(str(error)) from error


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _read_validator(part: Path) -> str | None:
    try:
        text = _validator_file(part).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return text if 0 < len(text) <= _MAX_VALIDATOR and text.isprintable() else None


def _write_validator(part: Path, response: HTTPResponse) -> None:
    version = _version(response)
    if version is None:
        _validator_file(part).unlink(missing_ok=True)
    else:
        write_text(_validator_file(part), version)


def _version(response: HTTPResponse) -> str | None:
    """Return which version of the file an answer is of: its strong ETag, or when it was last changed."""
    etag, date = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
    version = etag if etag.startswith('"') else date
    is_plain = version.isascii() and version.isprintable() and 0 < len(version) <= _MAX_VALIDATOR
    return version if is_plain else None
