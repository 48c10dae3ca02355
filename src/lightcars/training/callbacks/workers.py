"""Data loader workers that die: killed, or out of memory."""

from __future__ import annotations

import signal
from contextlib import suppress
from multiprocessing import active_children
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, final

import lightning as L


def is_dead_worker(error: BaseException) -> bool:
    """Tell whether an error means that a process of a `DataLoader` died.

    torch raises it from a signal handler, so it can come from any line of the training process, and from
    inside another exception's handling.
    """
    killed = isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")
    starved = isinstance(error, MemoryError) and "DataLoader worker" in str(error)
    return killed or starved or (error.__cause__ is not None and is_dead_worker(error.__cause__))


@final
class WorkerWatch(L.Callback):
    """Remembers the data loader processes, to tell afterwards whether one of them died.

    One that dies while it sends a batch is first noticed as a broken connection.
    """

    def __init__(self) -> None:
        self._others = set(active_children())
        self._workers: set[BaseProcess] = set()

    def on_train_epoch_start(self, *_: Any) -> None:
        self._workers |= set(active_children()) - self._others

    def explains(self, error: BaseException) -> bool:
        """Tell whether the death of a worker caused this error; if so, end the others too."""
        if not is_dead_worker(error) and not (isinstance(error, OSError | EOFError) and self._one_died()):
            return False
        for worker in self._workers:
            worker.terminate()
            worker.join()
        return True

    def _one_died(self) -> bool:
        """Tell whether one was not ended by the data loader."""
        with suppress(RuntimeError):  # torch's handler, which says the same
            wait([worker.sentinel for worker in self._workers], timeout=1)
        return any(worker.exitcode not in (None, 0, -signal.SIGTERM) for worker in self._workers)
