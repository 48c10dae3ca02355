"""How engines run PyTorch: number of threads, no autocast."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lightcars.errors import ConfigError
from lightcars.models.validation import require_int


def resolve_threads(threads: int | None) -> int:
    """Return the number of threads: PyTorch's own where none is given.

    Raises:
        ConfigError: not a whole number from 1 to the number of cores.
    """
    if threads is None:
        return torch.get_num_threads()
    require_int("threads", threads, at_least=1)
    most = max(os.cpu_count() or 1, torch.get_num_threads())
    if threads > most:
        raise ConfigError(f"threads must be at most {most}, the cores of this machine, not {threads}.")
    return threads


def without_autocast(device: torch.device | None = None) -> torch.autocast:
    """Disable autocast on a device, by default the CPU.

    PyTorch then computes in the precision of the weights, and converters do not trace casts into a graph.
    """
    return torch.autocast("cpu" if device is None else device.type, enabled=False)


@contextmanager
def use_threads(number: int) -> Iterator[None]:
    """Set PyTorch's number of threads, and restore it afterwards."""
    before = torch.get_num_threads()
    if before == number:
        yield
        return
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
