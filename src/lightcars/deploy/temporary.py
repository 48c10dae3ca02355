"""Temporary folders that are removed also when the process is terminated. No torch."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn


@contextmanager
def temporary_folder(prefix: str = "lightcars-") -> Iterator[Path]:
    """Create a folder that is removed at the end, also at an exception, Ctrl-C or SIGTERM."""
    with (
        _unwinding_on_sigterm(),
        tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name,
    ):
        yield Path(name)


class _Terminated(BaseException):
    """SIGTERM arrived."""


@contextmanager
def _unwinding_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the code inside before it ends the process.

    Only in the main thread, where signals are handled, and not where the program has its own handler.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    terminated = threading.Event()

    def unwind(*_: object) -> NoReturn:
        terminated.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the process at once
        raise _Terminated

    signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if terminated.is_set():  # also if a destructor or a callback has swallowed the exception
            os.kill(os.getpid(), signal.SIGTERM)
