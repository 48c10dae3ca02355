"""The engines' packages: imported when needed, with the pip line where one is missing."""

from __future__ import annotations

import importlib
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from lightcars.errors import MissingExtraError

if TYPE_CHECKING:
    from torch import Tensor

Engine: TypeAlias = "Callable[[Tensor], Tensor]"
"""(N, img_channels, H, W) of normalized float32 -> (N, num_classes) logits."""

_CORES: list[Any] = []
_CORES_LOCK = threading.Lock()
_QUIET_LOCK = threading.Lock()
_QUIET_INSIDE = [0]
"""How many are inside `quietly`."""
_QUIET_ENDS = ExitStack()
"""What the last one of them puts back."""
_EXTRAS = {"executorch": "executorch"}


def require(module: str) -> Any:
    """Imports a module of an optional package.

    Raises:
        MissingExtraError: it is not installed; the message has the line that installs it.
    """
    package = module.partition(".")[0]
    try:
        with quietly():
            return importlib.import_module(module)
    except ImportError as error:
        extra = _EXTRAS.get(package, "deploy")
        raise MissingExtraError(
            f"{package} cannot be imported ({error}); pip install 'lightcars[{extra}]'"
        ) from error


def openvino_core() -> Any:
    """The one `openvino.Core` of this process, which is never given back.

    A core gives the thread a stack for signal handlers, and its end puts back the one it found. Of two cores
    that do not end in reverse order the second puts back the first one's, which is no more: the next signal
    that is handled, as SIGCHLD where a DataLoader has had workers, then ends the process (OpenVINO 2026.4).
    """
    with _CORES_LOCK:
        if not _CORES:
            _CORES.append(require("openvino").Core())
        return _CORES[0]


@contextmanager
def quietly() -> Iterator[None]:
    """Engines warn of their own code and log what is no news to the user.

    Both are the process's. Where several threads are inside, the first one in silences, the last one out puts
    back.
    """
    with _QUIET_LOCK:
        _QUIET_INSIDE[0] += 1
        if _QUIET_INSIDE[0] == 1:
            before = logging.root.manager.disable
            _QUIET_ENDS.callback(logging.disable, before)
            _QUIET_ENDS.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        with _QUIET_LOCK:
            _QUIET_INSIDE[0] -= 1
            if _QUIET_INSIDE[0] == 0:
                _QUIET_ENDS.close()
