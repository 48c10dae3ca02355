"""Measure the latency of engines in turns, and report what was measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from torch import Tensor

from lightcars.models.device import wait_for
from lightcars.tables import html_table, text_table

TURNS = 7
TURN_S = 0.1
LIMIT_S = 8.0
"""For all turns together, once each engine had one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One engine in one precision.

    Attributes:
        engine, precision: names.
        latency_ms: minimum latency of one batch; None if it was not measured.
        difference: largest difference of its logits from eager fp32 ones, as a fraction of the largest logit.
        eager_difference: the same of eager PyTorch in that precision; None for int8.
        perturbation_difference: the same of eager PyTorch in that precision, with the last bit of every input
            value changed; None for int8.
        limit: what `difference` may be; None for int8.
        top1_change_percent: for int8: its top-1 minus the model's, in percentage points.
        problem: why it was dropped; None if its outputs match.
    """

    engine: str
    precision: str
    latency_ms: float | None = None
    difference: float | None = None
    eager_difference: float | None = None
    perturbation_difference: float | None = None
    limit: float | None = None
    top1_change_percent: float | None = None
    problem: str | None = None

    @property
    def note(self) -> str:
        """The last column of the table."""
        if self.problem is not None:
            return f"dropped: {self.problem}"
        change = self.top1_change_percent
        return "" if change is None else f"top-1 {change:+.2f} points"


class Measurements(tuple[Measurement, ...]):
    """All candidates, the fastest first; as text, a table."""

    __slots__ = ()
    HEAD = ("engine", "precision", "ms per batch", "difference", "eager error", "")

    def __str__(self) -> str:
        return text_table(self.HEAD, self.cells())

    def _repr_html_(self) -> str:
        return html_table(self.HEAD, self.cells())

    def cells(self) -> list[tuple[str, ...]]:
        """Return the cells of a table, with `HEAD` as its column names."""
        return [
            (
                row.engine,
                row.precision,
                "" if row.latency_ms is None else f"{row.latency_ms:.2f}",
                _rounded(row.difference),
                _rounded(_larger(row.eager_difference, row.perturbation_difference)),
                row.note,
            )
            for row in self
        ]

    @classmethod
    def sorted(cls, rows: Iterable[Measurement]) -> Measurements:
        """Sort by latency, dropped candidates last."""
        return cls(sorted(rows, key=lambda row: (row.problem is not None, row.latency_ms or 0.0)))

    def to_record(self) -> list[dict[str, Any]]:
        """Return JSON; NaN and infinite differences become None, as JSON has neither."""
        return [{key: _finite(value) for key, value in asdict(row).items()} for row in self]

    @classmethod
    def from_record(cls, record: list[dict[str, Any]]) -> Measurements:
        """Parse the result of `to_record`."""
        return cls(Measurement(**row) for row in record)


def _larger(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else max(first, second)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rounded(difference: float | None) -> str:
    return "" if difference is None else f"{difference:.0e}"


def take_turns(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Measure calls in turns; return the minimum of each in milliseconds.

    The minimum, because other processes on the machine only ever add to it.
    """
    turns: dict[str, list[float]] = {name: [] for name in calls}
    until = time.perf_counter() + LIMIT_S
    for _ in range(TURNS):
        for name, call in calls.items():
            turns[name].append(_turn(call))
        if time.perf_counter() > until:
            break
    return {name: 1000 * min(times) for name, times in turns.items()}


def _turn(call: Callable[[], object]) -> float:
    first = _seconds(call)  # a warm-up: the threads of other engines may still be spinning
    if first > TURN_S:
        return first
    end = time.perf_counter() + TURN_S
    times: list[float] = []
    while time.perf_counter() < end or not times:
        times.append(_seconds(call))
    return min(times)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    result = cast(Tensor, call())
    wait_for(result.device)
    return time.perf_counter() - start
