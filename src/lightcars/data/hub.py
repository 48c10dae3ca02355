"""Download data sets from the Hugging Face Hub. No torch."""

from __future__ import annotations

from pathlib import Path

from lightcars.errors import DataError
from lightcars.weights.hub import explained, split_hub_id

PREFIX = "hf:"
_SPLITS = ("train", "val", "valid", "validation", "test")
_PATTERNS = [
    f"{folder}{split}{rest}"
    for split in _SPLITS
    for folder in ("", "*/")
    for rest in ("-*.parquet", ".parquet", "/*.parquet")
]


def fetch_dataset(name: str) -> Path:
    """Return the folder in the Hub's cache with the parquet files of a data set, downloaded if necessary.

    Only files of train, val and test are downloaded: some repositories contain perturbed copies as well.

    Args:
        name: "hf:owner/name" or "hf:owner/name@revision".

    Raises:
        DataError: the name has another form.
        DownloadError: there is no such repository or revision, no permission, or no connection.
    """
    parts = split_hub_id(name.removeprefix(PREFIX))
    if parts is None:
        raise DataError(f"{name!r} is not hf:owner/name or hf:owner/name@revision.")
    from huggingface_hub import snapshot_download

    repository, revision = parts
    where = f"{repository}@{revision}" if revision else repository
    with explained(name, where, f"data set {repository}"):
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision, allow_patterns=_PATTERNS
        )
    return Path(folder)
