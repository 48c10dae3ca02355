"""Files on the Hugging Face Hub, through `huggingface_hub`: its cache, token, revisions and offline mode."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightcars.errors import DownloadError, HubFileMissingError
from lightcars.files import file_digest

HUB_PREFIXES = ("hf-hub:", "hf_hub:")
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@\w[\w./-]*)?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")
CONFIG_FILE = "config.json"
BEST = "best"
"""The folder in a run folder that holds the best epoch's model."""
FAMILIARITY_FILE = "familiarity.safetensors"
FAMILIAR = re.compile(rb'"familiarity": true')
"""Marks a `config.json` of lightcars with the file above beside it."""
_TRIES = 5
_CUT = "IncompleteRead"
"""In the text of the error of a download that was cut, from `huggingface_hub` before 1.0."""
LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def split_hub_id(text: str) -> tuple[str, str | None] | None:
    """Repository and revision of "owner/name", "owner/name@revision" or "hf-hub:owner/name", or None.

    >>> split_hub_id("timm/efficientnet_b0.ra_in1k@main")
    ('timm/efficientnet_b0.ra_in1k', 'main')
    """
    for prefix in HUB_PREFIXES:
        text = text.removeprefix(prefix)
    if not _ID.fullmatch(text) or ".." in text:
        return None
    repository, _, revision = text.partition("@")
    return repository, revision or None


def hub_file(
    repository: str,
    file: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    sha256: str | None = None,
) -> Path:
    """Return one file of a repository, from the cache or downloaded into it.

    Where the server tells the file's SHA-256 (as the Hub does for weights), a fetched file is checked. It
    must also be `sha256` (the digest or its beginning), where that is given.

    Raises:
        DownloadError: no such repository, file or revision; no permission; no connection and nothing in the
            cache; a file that is cut off or has another digest, which is removed.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    where = f"{repository}@{revision}" if revision else repository
    with explained(f"{file} of {where}", where, f"repository {where}"):
        before = try_to_load_from_cache(repository, file, revision=revision)
        try:
            path = _downloaded(repository, file, revision, token)
        except LocalEntryNotFoundError:  # also an EntryNotFoundError
            raise
        except EntryNotFoundError as error:
            raise HubFileMissingError(f"{where} has no {file}.") from error
    announced = _announced_digest(path)
    is_new = not isinstance(before, str) or Path(before).resolve() != path.resolve()
    if is_new and announced is not None:
        _check_content(path, announced, where)
    if sha256 is not None:
        digest = announced or file_digest(path)
        if not digest.startswith(sha256):
            raise DownloadError(
                f"{file} of {where} has SHA-256 {digest[:8]}, where {sha256[:8]} is known; it was replaced at"
                f" its source. To use it all the same, give its path: {path}"
            )
    return path


def _downloaded(repository: str, file: str, revision: str | None, token: str | None) -> Path:
    """Return the file in the cache. `huggingface_hub` before 1.0 does not resume a download itself."""
    from huggingface_hub import hf_hub_download

    for _ in range(_TRIES - 1):
        try:
            return Path(hf_hub_download(repository, file, revision=revision, token=token))
        except hub_errors() as error:
            if _CUT not in str(error):
                raise
    return Path(hf_hub_download(repository, file, revision=revision, token=token))


def is_cached(repository: str, file: str, *, revision: str | None = None) -> bool:
    """Return whether a file of a repository is in the Hub's cache on this machine."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, file, revision=revision), str)


@contextmanager
def explained(what: str, where: str, repository: str) -> Iterator[None]:
    """Turn the errors of `huggingface_hub` into a DownloadError of one line.

    Args:
        what: is fetched.
        where: the repository, with the revision if one was asked for.
        repository: what is said not to be there.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except DownloadError:
        raise
    except GatedRepoError as error:
        raise DownloadError(f"{where} asks for its terms to be accepted on the Hub first.") from error
    except RevisionNotFoundError as error:
        name, _, revision = where.partition("@")
        raise DownloadError(f"{name} has no revision {revision!r}.") from error
    except RepositoryNotFoundError as error:
        raise DownloadError(f"there is no {repository} on the Hub, or it is private: {LOG_IN}.") from error
    except LocalEntryNotFoundError as error:
        cause = error.__cause__ or error
        raise DownloadError(f"{what} is not in the cache and cannot be fetched: {reason(cause)}") from error
    except hub_errors() as error:
        raise DownloadError(f"{what} cannot be fetched: {reason(error)}") from error


def hub_weights(
    repository: str, *, revision: str | None = None, token: str | None = None
) -> tuple[Path, Path | None]:
    """Return the weights of a repository (safetensors if available) and its `config.json`, if any."""
    config: Path | None
    try:
        config = hub_file(repository, CONFIG_FILE, revision=revision, token=token)
    except HubFileMissingError:
        config = None
    else:
        revision = config.parent.name  # the same commit, even if the branch moves on meanwhile
    if config is not None and FAMILIAR.search(config.read_bytes()):
        hub_file(repository, FAMILIARITY_FILE, revision=revision, token=token)
    for file in WEIGHTS_FILES:
        try:
            return hub_file(repository, file, revision=revision, token=token), config
        except HubFileMissingError:
            continue
    raise DownloadError(f"{repository} has none of {', '.join(WEIGHTS_FILES)}.")


def hub_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that `huggingface_hub` raises when the Hub, the network or the disk fails."""
    # HTTPError is that of requests, httpx or httpx2, by release; hf_xet, which moves large files, raises
    # RuntimeError for what it has no other error for.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    return HTTPError, OSError, ValueError, RuntimeError


def reason(error: BaseException) -> str:
    """Return why the Hub or the network failed, in one line, with advice where there is any."""
    for answered in (error, error.__cause__):
        response = getattr(answered, "response", None)
        if response is not None:
            break
    else:
        return _first_line(str(error)) or type(error).__name__
    message = getattr(answered, "server_message", None) or response.headers.get("X-Error-Message")
    told = _first_line(message or "")
    advice = f"; {LOG_IN}" if response.status_code in (401, 403) else ""
    return f"the Hub answers {response.status_code}{f' ({told})' if told else ''}{advice}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


def _announced_digest(path: Path) -> str | None:
    """Return the SHA-256 that the cache links to; small files are linked by their git hash.

    The link is followed once only: behind the name there may be another link, to a store of all repositories.
    """
    name = path.readlink().name if path.is_symlink() else ""
    return name if _SHA256.fullmatch(name) else None


def _check_content(path: Path, announced: str, where: str) -> None:
    try:
        right = file_digest(path) == announced
    except FileNotFoundError:  # another process found it wrong first
        right = False
    if right:
        return
    named = path.parent / path.readlink() if path.is_symlink() else path
    for file in (named.resolve(), named, path):
        file.unlink(missing_ok=True)
    raise DownloadError(f"{path.name} of {where} came with another SHA-256 than announced; it was removed.")
