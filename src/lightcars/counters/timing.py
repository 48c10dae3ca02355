"""Time a call: warm-up, synchronization, and enough repetitions for stable statistics."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from lightcars.models.device import wait_for

WARM_UP_CALLS, WARM_UP_S = 3, 0.2
"""Both are reached before measuring starts: memory is allocated, kernels are chosen, clocks rise."""
LEAST_CALLS = 20
"""Minimum number of calls: with fewer, the 95th percentile would be the maximum."""
PATIENCE = 5
"""Limit for slow calls, as a multiple of `seconds`; there may then be fewer than `LEAST_CALLS`."""
FEWEST_CALLS, MOST_CALLS = 3, 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Statistics of consecutive calls.

    Attributes:
        calls: number of calls measured, after the warm-up.
        median_ms: median duration.
        p95_ms: 95th percentile of the durations; with fewer than 20 calls, the maximum.
    """

    calls: int
    median_ms: float
    p95_ms: float


def time_calls(call: Callable[[], object], device: torch.device, *, seconds: float = 1.0) -> Timing:
    """Measure the median and the 95th percentile of a call, synchronizing after each one on a GPU.

    Args:
        call: function to measure.
        device: device that it runs on.
        seconds: measuring time. At least 20 calls are made, unless they take five times as long.
    """
    start, calls = time.perf_counter(), 0
    while calls < WARM_UP_CALLS or time.perf_counter() - start < WARM_UP_S:
        call()
        wait_for(device)
        calls += 1
    times: list[float] = []
    start = end = time.perf_counter()
    while not _enough(len(times), end - start, seconds):
        before = time.perf_counter()
        call()
        wait_for(device)
        end = time.perf_counter()
        times.append(end - before)
    return timing(times)


def _enough(calls: int, elapsed_s: float, seconds: float) -> bool:
    if calls < LEAST_CALLS:
        return calls >= FEWEST_CALLS and elapsed_s >= PATIENCE * seconds
    return elapsed_s >= seconds or calls >= MOST_CALLS


def timing(times_s: list[float]) -> Timing:
    """Return the statistics of a list of durations.

    >>> timing([0.001 * number for number in range(1, 101)])
    Timing(calls=100, median_ms=50.5, p95_ms=95.0)
    """
    rank = -(-95 * len(times_s) // 100) - 1
    return Timing(calls=len(times_s), median_ms=1000 * median(times_s), p95_ms=1000 * sorted(times_s)[rank])
