"""How much memory a process takes from some moment on. No torch."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def mark_memory() -> int | None:
    """Bytes that are resident now, from which `growth_mib` counts; None where that cannot be known."""
    with suppress(OSError):
        _FORGET.write_text("5", encoding="ascii")  # Linux forgets the peak so far
        return _status("VmRSS")
    return _peak()


def growth_mib(mark: int | None) -> float | None:
    """The most that was resident at once since the mark, beyond what was there.

    Where the earlier peak cannot be forgotten (outside Linux), growth below that peak is not seen.
    """
    peak = _peak()
    return None if mark is None or peak is None else max(0, peak - mark) / 2**20


def _peak() -> int | None:
    with suppress(OSError):
        return _status("VmHWM")  # of this program; getrusage has the starting process's peak in it
    with suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return None


def _status(field: str) -> int:
    """In bytes."""
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {field}")
