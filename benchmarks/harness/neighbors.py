"""Detect other processes that were busy during a measurement, and repeat it while patience lasts.

Two threads of arithmetic on two cores slow down many times when a third process wants a core, and not
equally on all sides. On Linux the CPU time of the whole machine, less that of this process, of its
finished children and of its live workers, is what the neighbors used. Other systems detect nothing.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

TOLERATED = 0.1
"""Share of one core that other processes may use."""
CLOCK_S = 0.03
"""CPU time that the kernel's clock of 10 ms can miss."""
PAUSE_S = 2.0


class Neighbors:
    """Take measurements, and repeat disturbed ones.

    Attributes:
        repeated: measurements that were discarded.
        disturbed: measurements that were kept although disturbed, because patience had run out.
    """

    def __init__(self, patience_s: float) -> None:
        self._left_s = patience_s
        self.repeated = 0
        self.disturbed = 0

    def undisturbed(self, measure: Callable[[], T], pids: Iterable[int] = ()) -> T:
        """Return the result of `measure`, run in this process, its children or the processes `pids`."""
        live = list(pids)
        while True:
            start, others = time.perf_counter(), _others_cpu_s(live)
            result = measure()
            wall = time.perf_counter() - start
            if _others_cpu_s(live) - others <= TOLERATED * wall + CLOCK_S:
                return result
            if self._left_s <= 0:
                self.disturbed += 1
                return result
            self.repeated += 1
            time.sleep(PAUSE_S)
            self._left_s -= wall + PAUSE_S

    def report(self) -> dict[str, int]:
        """Return the numbers of repeated and disturbed measurements, for the results."""
        return {"measurements_repeated": self.repeated, "measurements_disturbed": self.disturbed}


def _others_cpu_s(live: list[int]) -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    ours = time.process_time() + children.ru_utime + children.ru_stime + sum(map(_process_cpu_s, live))
    return _machine_cpu_s() - ours


def _machine_cpu_s() -> float:
    """Return the CPU time of all processes and of the hypervisor's other guests; it only grows."""
    with contextlib.suppress(OSError):
        user, nice, system, _idle, _wait, irq, softirq, steal = map(
            int, Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=9)[1:9]
        )
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _process_cpu_s(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
