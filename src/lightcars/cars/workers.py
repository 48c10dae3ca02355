"""The loader's worker processes that die: killed, or out of memory. No torch."""

from __future__ import annotations


def is_dead_worker(error: BaseException) -> bool:
    """Whether this is torch's way to say that a process of a `DataLoader` died.

    torch raises it from a signal handler, so it can come from any line of the training process, and from
    inside another exception's handling.
    """
    killed = isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")
    starved = isinstance(error, MemoryError) and "DataLoader worker" in str(error)
    return killed or starved or (error.__cause__ is not None and is_dead_worker(error.__cause__))
