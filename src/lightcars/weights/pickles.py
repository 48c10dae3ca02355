"""Read `torch.save` files without executing code in them: only listed classes and functions are looked up."""

from __future__ import annotations

import _codecs
import argparse
import builtins
import collections
import pathlib
import pickle
import types
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

import torch

ZIP, PROTO = b"PK\x03\x04", 0x80
"""First bytes of `torch.save` files: today's, and those before PyTorch 1.6, which are pickles."""
TORCHS_PROTOCOL = 2
"""What torch's own restricted unpickler reads."""
Name = tuple[str, str]
"""Module and name of a global, as a pickle spells them."""


def load_pickled(path: Path, device: torch.device, begin: bytes, *, mapped: bool) -> Any:
    """Return the content of a file of `torch.save`, of any pickle protocol.

    Besides tensors and plain data it may hold what training scripts keep with them: NumPy's scalars and
    arrays, paths, `defaultdict` and `argparse.Namespace`.

    Args:
        path: of the file.
        device: where tensors are loaded to.
        begin: the first bytes of the file.
        mapped: whether tensors stay in the file, which has to be a zip file, until they are used.

    Raises:
        pickle.UnpicklingError: it holds anything else.
    """
    is_zip = begin.startswith(ZIP)
    protocol = _protocol_inside(path) if is_zip else begin[1]
    if protocol <= TORCHS_PROTOCOL:
        listed = [(found, ".".join(name)) for name, found in _beside_tensors().items()]
        with torch.serialization.safe_globals(cast(Any, listed)):
            return torch.load(path, map_location=device, weights_only=True, mmap=mapped)
    restricted = types.SimpleNamespace(
        __name__="restricted_pickle",
        Unpickler=_Restricted,
        load=_load,
        UnpicklingError=pickle.UnpicklingError,
    )
    return torch.load(path, map_location=device, weights_only=False, pickle_module=restricted, mmap=mapped)


def is_pickled(begin: bytes) -> bool:
    """Return whether these are the first bytes of a file of `torch.save`."""
    return begin.startswith(ZIP) or (
        len(begin) > 1 and begin[0] == PROTO and TORCHS_PROTOCOL <= begin[1] <= pickle.HIGHEST_PROTOCOL
    )


def _protocol_inside(path: Path) -> int:
    """Return the pickle protocol of a zip file; torch's own where torch has to say what is wrong with it."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any(name.endswith("constants.pkl") for name in names):  # TorchScript, which torch.load would run
            return TORCHS_PROTOCOL
        content = [name for name in names if name.endswith("data.pkl")]
        if len(content) != 1:
            return TORCHS_PROTOCOL
        with archive.open(content[0]) as file:
            begin = file.read(2)
    return begin[1] if len(begin) == 2 and begin[0] == PROTO else TORCHS_PROTOCOL


class _Restricted(pickle._Unpickler):
    """An unpickler of all protocols that looks up listed names only, and sets the state of few classes.

    The one in Python: that in C lets a pickle set attributes of any listed function.
    """

    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """Return a listed class or function."""
        found = _beside_tensors().get((module, name)) or _of_tensors().get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"{module}.{name} is not listed")
        return found

    def load_build(self) -> None:
        """Set the state of an instance."""
        kind = type(self.stack[-2])  # type: ignore[attr-defined]
        if not issubclass(kind, _stateful()):
            raise pickle.UnpicklingError(f"the state of a {kind.__name__} is not set")
        super().load_build()  # type: ignore[misc]

    dispatch[pickle.BUILD[0]] = load_build  # type: ignore[assignment]


def _load(file: IO[bytes], **options: Any) -> Any:
    return _Restricted(file, **options).load()


@cache
def _stateful() -> tuple[type, ...]:
    import numpy as np

    return (torch.Tensor, collections.OrderedDict, argparse.Namespace, np.ndarray, np.dtype)


@cache
def _of_tensors() -> Mapping[Name, Any]:
    """Return what tensors and state dicts are pickled with, which torch's own unpickler knows."""
    functions = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
    found: dict[Name, Any] = {("torch._utils", name): getattr(torch._utils, name) for name in functions}
    dtypes = {("torch", name): value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
    found |= dtypes
    found |= {("torch", kind.__name__): kind for kind in (torch.Size, torch.device)}
    found |= {("collections", kind.__name__): kind for kind in (collections.OrderedDict, collections.Counter)}
    found["builtins", "set"] = set
    return found


@cache
def _beside_tensors() -> Mapping[Name, Any]:
    """Return the harmless classes and functions that training scripts save with their tensors."""
    found: dict[Name, Callable[..., Any]] = {
        ("argparse", "Namespace"): argparse.Namespace,
        ("collections", "defaultdict"): _plain_dictionary,
        ("_codecs", "encode"): _codecs.encode,  # bytes, in protocol 2
    }
    for name in ("int", "float", "bool", "str", "list", "dict", "set"):  # what a defaultdict makes
        found["builtins", name] = found["__builtin__", name] = getattr(builtins, name)
    found["__builtin__", "long"], found["__builtin__", "unicode"] = int, str
    for module in ("pathlib", "pathlib._local"):  # of Python 3.13
        for name in ("Path", "PosixPath", "PurePosixPath"):
            found[module, name] = pathlib.PurePosixPath
        for name in ("WindowsPath", "PureWindowsPath"):
            found[module, name] = pathlib.PureWindowsPath
    return found | _of_numpy()


def _plain_dictionary(*_: object) -> dict[Any, Any]:
    """Return what a `defaultdict` is read as: torch's unpickler sets no items of one."""
    return {}


def _of_numpy() -> dict[Name, Any]:
    """Return how NumPy's scalars, arrays and types are pickled by its versions 1 and 2."""
    import numpy as np

    multiarray = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
    found: dict[Name, Any] = {("numpy", "dtype"): np.dtype, ("numpy", "ndarray"): np.ndarray}
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found[module, "scalar"], found[module, "_reconstruct"] = multiarray
    for module in ("numpy.core.numeric", "numpy._core.numeric"):
        found[module, "_frombuffer"] = np.zeros(1).__reduce_ex__(5)[0]
    for name, kind in vars(np.dtypes).items():
        if isinstance(kind, type) and kind is not np.dtypes.ObjectDType:
            found["numpy.dtypes", name] = kind
    return found
