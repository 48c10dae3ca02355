"""The memory that this process may still take: of machine, control group and its own limit. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc/self")
MEMINFO = Path("/proc/meminfo")
_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
"""Names of limit and use, in control groups of version 2 and 1."""
_MESSAGES = (
    "allocate memory",
    "not enough memory",
    "out of memory",
    "failed to map segment",
)
"""Parts of messages of errors that are no MemoryError: torch's, the dynamic linker's, CUDA's."""


def free_bytes() -> float:
    """Return the memory that this process may still take; infinity where the system does not report it."""
    return min(_machine_bytes(), *_cgroup_bytes(), _own_bytes())


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory could not be allocated."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(message in text for message in _MESSAGES)


def _machine_bytes() -> float:
    """Return what the machine has left, with the page cache where the system reports it (Linux)."""
    with suppress(OSError, ValueError):
        for line in MEMINFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.removesuffix("kB")) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _cgroup_bytes() -> Iterator[float]:
    """Yield what each control group above this process has left."""
    yield float("inf")
    for folder in _cgroup_folders():
        for limit, use in _FILES:
            with suppress(OSError, ValueError):  # ValueError: "max"
                used = int((folder / use).read_text()) - _reclaimable(folder)
                yield max(0, int((folder / limit).read_text()) - used)


def _reclaimable(folder: Path) -> int:
    """Return the bytes of files in the page cache, which the system gives back when they are needed."""
    with suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                return int(value)
    return 0


def _cgroup_folders() -> list[Path]:
    try:
        lines = (PROC / "cgroup").read_text().splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in ("", "memory"):
            continue
        root = CGROUPS / controllers
        inner = root / path.lstrip("/")
        folders += [inner, *(parent for parent in inner.parents if parent.is_relative_to(root))]
    return folders


def _own_bytes() -> float:
    """Return what `ulimit -v` leaves to this process."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return float("inf")
        pages = int((PROC / "statm").read_text().split()[0])
        return max(0, limit - pages * resource.getpagesize())
    except (ImportError, AttributeError, OSError, ValueError, IndexError):
        return float("inf")
