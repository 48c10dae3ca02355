"""Growth of a process's resident memory to its peak."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path


def mark_memory() -> int:
    """Start measuring memory; return the resident bytes from which `growth_mib` counts."""
    # Linux can reset the peak; elsewhere an earlier peak may hide growth.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes()


def growth_mib(mark: int) -> float:
    """Return the peak of resident memory since the mark, less the resident memory at the mark, in MiB."""
    return (_peak_bytes() - mark) / 2**20


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
