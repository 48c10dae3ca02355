"""Measure the memory that a process allocates after some point. No torch."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def mark_memory() -> int | None:
    """Return the bytes that are resident now, for `growth_mib`; None where unknown."""
    with suppress(OSError):
        _FORGET.write_text("5", encoding="ascii")  # Linux resets the peak
        return _status("VmRSS")
    return _peak()


def growth_mib(mark: int | None) -> float | None:
    """Return the peak of resident memory since the mark, minus what was resident then.

    Where the earlier peak cannot be reset (outside Linux), growth below that peak is not seen.
    """
    peak = _peak()
    return None if mark is None or peak is None else max(0, peak - mark) / 2**20


def _peak() -> int | None:
    with suppress(OSError):
        return _status("VmHWM")  # of this program; getrusage includes the peak of the process that started it
    with suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return None


def _status(field: str) -> int:
    """Return a field in bytes."""
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {field}")
