"""Optional packages of the engines: imported on first use, with the pip command if one is missing."""

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

InferenceFunction: TypeAlias = "Callable[[Tensor], Tensor]"
"""(N, C, H, W) of normalized float32 -> (N, num_classes) logits."""

_CORES: list[Any] = []
_CORES_LOCK = threading.Lock()
_QUIET_LOCK = threading.Lock()
_QUIET_INSIDE = [0]
"""Number of threads inside `quietly`."""
_QUIET_ENDS = ExitStack()
"""Restores the state before, when the last thread leaves."""
_EXTRAS = {
    "executorch": "executorch",
    **dict.fromkeys(("litert_torch", "ai_edge_litert", "ai_edge_quantizer"), "litert"),
}


def require(module: str) -> Any:
    """Import a module of an optional package.

    Raises:
        MissingExtraError: it is not installed; the message has the pip command.
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
    """Return the only `openvino.Core` of this process, which is never released.

    A core installs an alternate stack for signal handlers and restores the previous one at its end. If two
    cores end in the wrong order, a freed stack is restored, and the next handled signal (SIGCHLD of a
    DataLoader's workers, for example) crashes the process (OpenVINO 2026.4).
    """
    with _CORES_LOCK:
        if not _CORES:
            _CORES.append(require("openvino").Core())
        return _CORES[0]


@contextmanager
def quietly() -> Iterator[None]:
    """Silence the engines' own deprecation warnings and log messages.

    Both settings are global: the first thread that enters sets them, the last one that leaves restores them.
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
