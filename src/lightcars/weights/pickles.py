"""Read `torch.save` files without executing code in them, by torch's own restricted unpickler.

Training scripts save more than tensors: NumPy's scalars and arrays, paths, `defaultdict`,
`argparse.Namespace`. None of that is needed here, so what a pickle names as theirs is an inert placeholder.
"""

from __future__ import annotations

import argparse
import pickle
import threading
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch

from lightcars.weights.protocols import copy_in_protocol_2

ZIP, PROTO = b"PK\x03\x04", 0x80
"""First bytes of `torch.save` files: today's, and those before PyTorch 1.6, which are pickles."""
PROTOCOL = "pickle protocol"
"""torch warns of one other than 2."""
_LOCK = threading.Lock()
"""What torch's unpickler may look up is set for the whole process."""


class Ignored:
    """Stands for an object that is not needed: takes any arguments and any state, and keeps nothing."""

    def __new__(cls, *_: object, **__: object) -> Ignored:
        """Return a placeholder."""
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Take a state and keep nothing of it."""

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ignored)


def load_pickled(path: Path, device: torch.device, *, mapped: bool) -> Any:
    """Return the content of a file of `torch.save`; objects of training scripts are `Ignored`.

    Args:
        path: of the file.
        device: where tensors are loaded to.
        mapped: whether tensors stay in the file, which has to be a zip file, until they are used.

    Raises:
        pickle.UnpicklingError: it holds anything but tensors, plain data and such objects.
        CheckpointError: a pickle of protocol 4 or 5 that cannot be translated.
    """
    with _LOCK, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with torch.serialization.safe_globals(cast(Any, _placeholders())):
            try:
                return torch.load(path, map_location=device, weights_only=True, mmap=mapped)
            except pickle.UnpicklingError:
                if not any(PROTOCOL in str(warning.message) for warning in said):
                    raise
            copy = copy_in_protocol_2(path)
            return torch.load(copy, map_location=device, weights_only=True)


def is_pickled(begin: bytes) -> bool:
    """Return whether these are the first bytes of a file of `torch.save`."""
    return begin.startswith(ZIP) or (
        len(begin) > 1 and begin[0] == PROTO and 2 <= begin[1] <= pickle.HIGHEST_PROTOCOL
    )


@cache
def _placeholders() -> list[tuple[Any, str]]:
    """Return what a pickle may name beside tensors, and what it gets for that."""
    known = [(argparse.Namespace, "argparse.Namespace"), (_dictionary, "collections.defaultdict")]
    return [*known, *((Ignored, name) for name in _names())]


def _dictionary(*_: object) -> dict[Any, Any]:
    """Return what a `defaultdict` is read as."""
    return {}


def _names() -> Iterator[str]:
    yield from ("_codecs.encode", "numpy.dtype", "numpy.ndarray")
    for name in ("int", "float", "bool", "str", "list", "dict", "set", "frozenset", "bytearray"):
        yield from (f"builtins.{name}", f"__builtin__.{name}")
    yield from ("__builtin__.long", "__builtin__.unicode")
    for module in ("pathlib", "pathlib._local"):  # of Python 3.13
        for name in ("Path", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"):
            yield f"{module}.{name}"
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        yield from (f"{module}.scalar", f"{module}._reconstruct")
    yield from ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
    for kind in ("Bool", "Bytes", "Complex64", "Complex128", "Float16", "Float32", "Float64", "Str"):
        yield f"numpy.dtypes.{kind}DType"
    for bits in (8, 16, 32, 64):
        yield from (f"numpy.dtypes.Int{bits}DType", f"numpy.dtypes.UInt{bits}DType")
