"""Keep the memory of freed tensors in the process while a CPU trains.

glibc returns large blocks to the system at once and asks for new ones, which the system has to clear page by
page: measured, a fifth to a half of a training step of 64 images. Peak memory grows by the fragmentation.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""glibc's numbers for mallopt."""

_NEVER, _NONE = -1, 0
_USUAL = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}
"""Defaults of glibc, and what it adjusts its thresholds to in a process with large blocks."""


@contextmanager
def memory_kept(device: torch.device) -> Iterator[None]:
    """Keep freed memory for the next step and return it at the end; no effect on other devices or systems."""
    libc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" and device.type == "cpu" else None
    if libc is None:
        yield
        return
    libc.mallopt(_MMAP_MAX, _NONE)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        for setting, value in _USUAL.items():
            libc.mallopt(setting, value)
        libc.malloc_trim(0)
