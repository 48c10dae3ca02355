"""Photographs from the Hugging Face Hub, asked for by name. No torch."""

from __future__ import annotations

from pathlib import Path

from lightcars.errors import DataError, DownloadError
from lightcars.weights.hub import LOG_IN, hub_errors, reason, split_hub_id

PREFIX = "hf:"
_SPLITS = ("train", "val", "valid", "validation", "test")
_PATTERNS = [
    f"{folder}{split}{rest}"
    for split in _SPLITS
    for folder in ("", "*/")
    for rest in ("-*.parquet", ".parquet", "/*.parquet")
]


def fetch_dataset(name: str) -> Path:
    """The folder in the Hub's cache with the parquet files of a data set, fetched if need be.

    Only files of train, val and test are fetched: some repositories hold disturbed copies beside them.

    Args:
        name: "hf:owner/name" or "hf:owner/name@revision".

    Raises:
        DataError: not such a name.
        DownloadError: no such repository or revision, no permission, or no connection.
    """
    parts = split_hub_id(name.removeprefix(PREFIX))
    if parts is None:
        raise DataError(f"{name!r} is not hf:owner/name or hf:owner/name@revision.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repository, revision = parts
    try:
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision, allow_patterns=_PATTERNS
        )
    except GatedRepoError as error:
        raise DownloadError(f"{name} asks for its terms to be accepted on the Hub first.") from error
    except RevisionNotFoundError as error:
        raise DownloadError(f"{repository} has no revision {revision!r}.") from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"there is no data set {repository} on the Hub, or it is private: {LOG_IN}."
        ) from error
    except LocalEntryNotFoundError as error:
        cause = error.__cause__ or error
        raise DownloadError(f"{name} is not in the cache and cannot be fetched: {reason(cause)}") from error
    except hub_errors() as error:
        raise DownloadError(f"{name} cannot be fetched: {reason(error)}") from error
    return Path(folder)
