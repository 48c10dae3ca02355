"""Read the files of `torch.save` without executing code in them."""

from __future__ import annotations

import pickle
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightcars.errors import CheckpointError
from lightcars.weights.pickles import ZIP, is_pickled, load_pickled

_MAX_EXPANSION = 20
"""How many times its size a compressed archive may unpack to; `torch.save` does not compress."""
_RECORDS = "/data/"
"""Part of the names of the records that hold the bytes of tensors."""


def read_pytorch_file(path: Path, device: torch.device) -> Any:
    """Return what `torch.save` wrote, memory-mapped where its records are the tensors' own bytes.

    Raises:
        CheckpointError: another format, a corrupt file, an archive that unpacks to far more than its size, or
            a pickle of more than tensors, which is never executed.
    """
    begin = _beginning(path)
    if not is_pickled(begin):
        raise CheckpointError(f"{path} is not what torch.save writes; copy or download it again.")
    try:
        records, stored = _record_sizes(path) if begin == ZIP else (None, False)
        content = load_pickled(path, device, mapped=stored)
        sizes = _storage_sizes(content)
        if stored and sizes != records:
            # Reading compares each record with its tensor; torch 2.8 and older do not.
            content = load_pickled(path, device, mapped=False)
        _require_records(sizes, records, path)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        if "Unsupported operand" in str(error):
            raise CheckpointError(
                f"{path} is not a PyTorch file, or corrupt; copy or save it again."
            ) from error
        raise CheckpointError(
            f"{path} contains more than tensors, and is refused because reading it could run foreign code;"
            " ask"
            " its author for a safetensors file."
        ) from error
    except Exception as error:  # torch raises nearly anything for a broken file
        raise CheckpointError(
            f"{path} cannot be read ({reason(error)}); copy or download it again."
        ) from error
    return content


def reason(error: Exception) -> str:
    """Return the first sentence; torch's further ones give advice that does not apply here."""
    text = str(error).strip().partition("\n")[0].partition(". ")[0].strip()
    return f"{type(error).__name__} {text}".strip() if not text or isinstance(error, KeyError) else text


def _record_sizes(path: Path) -> tuple[list[int], bool]:
    """Return the sizes of the tensors' records that are not empty, sorted, and whether none is compressed.

    Raises:
        CheckpointError: the records unpack to far more than the size of the file.
    """
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        for record in records:
            archive.open(record).close()  # compares the two headers of each record
    unpacked, size = sum(record.file_size for record in records), path.stat().st_size
    if unpacked > _MAX_EXPANSION * size:
        raise CheckpointError(
            f"{path} has {size} bytes and unpacks to {unpacked}, far more than real weights; get the file"
            " from another source."
        )
    sizes = [record.file_size for record in records if _RECORDS in record.filename]
    stored = all(record.compress_type == zipfile.ZIP_STORED for record in records)
    return sorted(size for size in sizes if size), stored


def _require_records(sizes: list[int], records: list[int] | None, path: Path) -> None:
    """Raise CheckpointError where a tensor takes more or fewer bytes than any record has."""
    if records is not None and (missing := Counter(sizes) - Counter(records)):
        raise CheckpointError(
            f"{path} cannot be read (no record has the {min(missing)} bytes of a tensor); copy or"
            " download it again."
        )


def _storage_sizes(content: Any) -> list[int]:
    """Return the sizes of the distinct storages of all tensors in what was read, sorted."""
    storages = [tensor.untyped_storage() for tensor in _tensors(content, set())]
    sizes = {storage.data_ptr(): storage.nbytes() for storage in storages if storage.nbytes()}
    return sorted(sizes.values())


def _tensors(content: Any, seen: set[int]) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        if content.layout is torch.strided:
            yield content
    elif isinstance(content, Mapping | list | tuple | set) and id(content) not in seen:
        seen.add(id(content))
        for item in content.values() if isinstance(content, Mapping) else content:
            yield from _tensors(item, seen)


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(ZIP))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
