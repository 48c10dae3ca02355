"""Download a file from a URL into the cache: resumed, checked, and atomically.

Files on the Hugging Face Hub go through `huggingface_hub` (see `hub.py`). For plain addresses there is
`torch.hub`, which neither resumes nor retries nor keeps two processes apart; its folder is used, so that what
torchvision has downloaded is not downloaded again.
"""

from __future__ import annotations

import os
import time
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from lightcars.errors import DownloadError
from lightcars.files import file_digest
from lightcars.weights.transfer import fetch_rest, is_resumable, put_in_place, remove_part

ATTEMPTS = 4
WAIT_S = 1.0
"""Before the second attempt; doubled before each further one."""
TRANSIENT = (408, 429, 500, 502, 503, 504)


def download(url: str, *, sha256: str | None = None, progress: bool = True) -> Path:
    """Return the file at `url`, from the cache if it is there.

    It is written beside its place under another name and moved there when it is complete and, where `sha256`
    (the digest or its beginning) is given, right. An interrupted download is resumed if the server
    still has the same file. Several processes that want the same file wait for the first one.

    Raises:
        DownloadError: no such file, no permission, no connection, a server that keeps failing, a wrong
            digest, no space; or nothing in the cache while `HF_HUB_OFFLINE` is set.
    """
    target = cache_folder() / file_name(url)
    if cached_path(url) is not None:
        return target
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise DownloadError(
            f"{target.name} is not in {target.parent}, and HF_HUB_OFFLINE forbids downloading it."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.is_file():  # another process may have been first
                _fetch(url, target, sha256, progress=progress)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"cannot store {target}: {error.strerror or error}; TORCH_HOME gives another folder."
        ) from error
    return target


def cached_path(url: str) -> Path | None:
    """Return the file of a plain address in the cache, or None if it was not downloaded yet."""
    target = cache_folder() / file_name(url)
    return target if target.is_file() else None


def cache_folder() -> Path:
    """Return the folder where torch.hub keeps checkpoints; TORCH_HOME moves it."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def file_name(url: str) -> str:
    """Return the name of the file: the last part of the URL, if that is a plain name."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    if not name or name.startswith(".") or any(mark in name for mark in "/\\:\0"):
        raise DownloadError(f"{url} does not end in a file name.")
    return name


def _fetch(url: str, target: Path, sha256: str | None, *, progress: bool) -> None:
    part = target.with_name(f"{target.name}.part")
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(WAIT_S * 2 ** (attempt - 1))
        try:
            fetch_rest(url, part, is_pinned=sha256 is not None, progress=progress)
            break
        except HTTPError as error:
            error.close()  # it holds the connection
            if error.code == 416:  # the part is as long as the file, or longer: begin again
                remove_part(part)
            elif error.code not in TRANSIENT:
                raise DownloadError(f"{url}: {_reason(error.code)}.") from error
            problem = f"the server answers {error.code}"
        except DownloadError:
            raise
        except (URLError, HTTPException, ConnectionError, TimeoutError, ValueError) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
    else:
        resumed = ", the download will resume" * is_resumable(part, is_pinned=sha256 is not None)
        raise DownloadError(f"{url} cannot be fetched ({problem}); try again{resumed}.")
    _check_digest(url, part, sha256)
    put_in_place(part, target)


def _check_digest(url: str, part: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    digest = file_digest(part)
    if not digest.startswith(sha256):
        remove_part(part)
        raise DownloadError(
            f"{url} gave a file with SHA-256 {digest[: max(len(sha256), 8)]}, not {sha256}; it was removed."
            " It may have been changed on the way or at its source."
        )


def _reason(code: int) -> str:
    known = {
        401: "permission is needed (401)",
        403: "permission is needed (403)",
        404: "there is no such file (404)",
    }
    return known.get(code, f"the server refuses ({code})")
