"""Ctrl-C that is pressed more than once."""

from __future__ import annotations

import atexit
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

QUIET_S = 1.0
"""How long Ctrl-C is ignored after it was pressed, so that the run can clean up."""


@contextmanager
def one_interrupt() -> Iterator[None]:
    """Let Ctrl-C raise one KeyboardInterrupt and ignore it for the next second, as often as it is pressed.

    After an interrupt the handler stays, and Ctrl-C is ignored while the interpreter ends, because it could
    be pressed again meanwhile. Where Ctrl-C is ignored, or in another thread than the main one, nothing is
    changed.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return
    last = float("-inf")

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        previous, last = last, time.monotonic()
        if previous == float("-inf"):  # while the interpreter ends, its own handler would be back
            atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
        if last - previous > QUIET_S:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    yield
    signal.signal(signal.SIGINT, before)
