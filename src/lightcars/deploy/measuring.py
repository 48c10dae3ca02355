"""Which engine answers as PyTorch does, and how fast each one is here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from lightcars.deploy.engines import Engine
from lightcars.deploy.runners import Precision
from lightcars.deploy.source import Source, own_precision, use_threads
from lightcars.errors import OptimizationError
from lightcars.models.device import wait_for
from lightcars.tables import text_table

TOLERANCES: Mapping[Precision, float] = {"fp32": 1e-4, "bf16": 2e-2}
"""Largest difference from eager logits, as a part of the largest logit."""
TIE = 2**-8
"""Part of the largest logit, bfloat16's own precision: classes nearer than that have no first one in it."""
LEAST_IMAGES = 4
TURNS = 7
TURN_S = 0.1
LIMIT_S = 8.0
"""For all turns together, once each engine had one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One engine in one precision.

    Attributes:
        engine, precision: which.
        latency_ms: of one batch, the least of many calls; None if it was not measured.
        difference: of its logits from eager ones at most, as a part of the largest logit.
        top1_change_percent: of int8: points of top-1 more than the model's on photographs; below 0 is a loss.
        problem: why it was dropped; None if it agrees.
    """

    engine: str
    precision: str
    latency_ms: float | None = None
    difference: float | None = None
    top1_change_percent: float | None = None
    problem: str | None = None

    @property
    def note(self) -> str:
        """What else is to be said of it."""
        if self.problem is not None:
            return f"dropped: {self.problem}"
        change = self.top1_change_percent
        return "" if change is None else f"top-1 {change:+.2f} points"


class Measurements(tuple[Measurement, ...]):
    """All that were tried, the fastest first; as text, a table."""

    __slots__ = ()

    def __str__(self) -> str:
        rows = []
        for row in self:
            latency = "" if row.latency_ms is None else f"{row.latency_ms:.2f}"
            difference = "" if row.difference is None else f"{row.difference:.0e}"
            rows.append((row.engine, row.precision, latency, difference, row.note))
        return text_table(("engine", "precision", "ms a batch", "difference", ""), rows)

    @classmethod
    def sorted(cls, rows: Iterable[Measurement]) -> Measurements:
        """The fastest first, dropped ones last."""
        return cls(sorted(rows, key=lambda row: (row.problem is not None, row.latency_ms or 0.0)))

    def to_record(self) -> list[dict[str, Any]]:
        """Plain data."""
        return [asdict(row) for row in self]

    @classmethod
    def from_record(cls, record: list[dict[str, Any]]) -> Measurements:
        """Back from `to_record`."""
        return cls(Measurement(**row) for row in record)


@dataclass(frozen=True, slots=True)
class Check:
    """Images, a batch each, with the eager model's logits, and how long it took for one batch."""

    batches: tuple[Tensor, ...]
    expected: tuple[Tensor, ...]
    eager_ms: float

    @classmethod
    def of(cls, source: Source) -> Check:
        """Asks the eager model.

        Raises:
            OptimizationError: its logits are no numbers.
        """
        generator = torch.Generator().manual_seed(0)
        count = -(-max(source.batch, LEAST_IMAGES) // source.batch)
        batches = tuple(_images(source.shape, generator).to(source.device) for _ in range(count))
        expected, times = [], []
        with torch.no_grad(), own_precision(source.device), use_threads(source.threads):
            for images in batches:
                start = time.perf_counter()
                expected.append(source.eager(images))
                wait_for(source.device)
                times.append(time.perf_counter() - start)
        if not all(logits.isfinite().all() for logits in expected):
            raise OptimizationError("the model's own logits are not finite; its weights are spoilt.")
        return cls(batches, tuple(expected), 1000 * min(times))

    def difference(self, engine: Engine) -> float:
        """Of an engine's logits at most, as a part of the largest logit; not a number if one of them is."""
        worst = 0.0
        for images, expected in zip(self.batches, self.expected, strict=True):
            got = engine(images.clone())
            if got.shape != expected.shape:
                raise OptimizationError(f"it gives {tuple(got.shape)}, PyTorch {tuple(expected.shape)}")
            difference = float((got - expected).abs().max()) if expected.numel() else 0.0
            if math.isnan(difference):
                return difference
            worst = max(worst, difference)
        return worst / self._largest

    def problem(self, engine: Engine, precision: Precision, difference: float) -> str | None:
        """Why an engine's answers cannot be taken for the model's; None if they can."""
        if not difference <= TOLERANCES[precision]:  # nor not a number
            return (
                f"answers differ by {difference:.1e} of the largest logit, allowed is"
                f" {TOLERANCES[precision]:.0e}"
            )
        same = all(
            self._same_first(engine(images), expected)
            for images, expected in zip(self.batches, self.expected, strict=True)
        )
        return None if same else "another class comes first"

    @property
    def _largest(self) -> float:
        return max((float(logits.abs().max()) for logits in self.expected if logits.numel()), default=1) or 1

    def _same_first(self, got: Tensor, expected: Tensor) -> bool:
        if not expected.shape[1]:
            return True
        first = expected.amax(1)
        chosen = expected.gather(1, got.argmax(1, keepdim=True)).squeeze(1)
        return bool((first - chosen <= TIE * self._largest).all())


def _images(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Patches of color under a little noise: nearer to photographs than noise alone."""
    batch, channels, height, width = shape
    plain: dict[str, Any] = {"generator": generator, "dtype": torch.float32, "device": "cpu"}
    patches = torch.randn(batch, channels, 5, 5, **plain)
    smooth = F.interpolate(patches, size=(height, width), mode="bilinear", align_corners=False)
    return smooth + 0.3 * torch.randn(shape, **plain)


def take_turns(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Milliseconds of each call, the least over turns: neighbours on the machine only ever add to it."""
    turns: dict[str, list[float]] = {name: [] for name in calls}
    until = time.perf_counter() + LIMIT_S
    for _ in range(TURNS):
        for name, call in calls.items():
            turns[name].append(_turn(call))
        if time.perf_counter() > until:
            break
    return {name: 1000 * min(times) for name, times in turns.items()}


def _turn(call: Callable[[], object]) -> float:
    first = _seconds(call)  # the threads of the others may still be awake
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
