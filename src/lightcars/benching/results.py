"""What `bench` found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lightcars.benching.jobs import Job
from lightcars.counters.tables import text_table
from lightcars.models.origin import WeightsOrigin
from lightcars.weights.catalog import find_tag

HEAD = ("", "ms", "p95 ms", "images/s", "MiB", "set-up s", "differs by")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How good weights are, by somebody's count.

    Attributes:
        top1_percent: of the photographs right.
        data: which ones, and who says so.
        resolution: pixels at which that was found; at others it is not known.
    """

    top1_percent: float
    data: str
    resolution: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow(Job):
    """One engine in one precision with one batch, or one kind of training step.

    Attributes:
        model, engine, precision, batch, resolution, threads, device, layout: what was measured, as in `Job`.
        latency_ms: of one batch: half of the calls took no longer.
        p95_ms: 95 % of the calls took no longer.
        calls: so many.
        images_per_second: of the median, one batch after the other.
        memory_mib: on a processor the most that was resident at once beyond Python and PyTorch: weights,
            engine, working memory; on a GPU the most that PyTorch had allocated there.
        setup_s: from the model to the first possible answer: conversion, compilation. None where there is
            nothing to set up.
        difference: of the logits from eager ones in fp32 at most, as a part of the largest logit; None for
            eager in fp32 itself, and where it is no number.
        top1_change_percent: of int8: points of top-1 more than the model's on photographs; below 0 is a loss.
        problem: why there are no figures; or, beside figures, why its answers are not the model's.
        accuracy: of the weights at this resolution, if known, and not in int8. It was not measured here.
    """

    latency_ms: float | None = None
    p95_ms: float | None = None
    calls: int | None = None
    images_per_second: float | None = None
    memory_mib: float | None = None
    setup_s: float | None = None
    difference: float | None = None
    top1_change_percent: float | None = None
    problem: str | None = None
    accuracy: Accuracy | None = None

    @property
    def what(self) -> str:
        """Engine and precision, or the kind of training step."""
        return f"{self.precision} {self.layout}" if self.layout else f"{self.engine} {self.precision}"

    @classmethod
    def of(cls, job: Job, found: dict[str, Any], accuracy: Accuracy | None) -> BenchRow:
        """From what the job's processes answered."""
        latency_ms = found.get("latency_ms")
        as_measured = job.precision != "int8"  # whose accuracy is another one
        same = accuracy is not None and accuracy.resolution == job.resolution and as_measured
        known = accuracy if same else None
        return cls(
            **asdict(job),
            **found,
            images_per_second=None if latency_ms is None else 1000 * job.batch / latency_ms,
            accuracy=known,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """All rows, the fastest of each model and batch first; as text, a table.

    Attributes:
        rows: what was measured, and what could not be.
        train: whether they are training steps.
        machine: the processor, and the GPU if that was measured.
        versions: of the packages at work.
    """

    rows: tuple[BenchRow, ...]
    train: bool
    machine: str
    versions: dict[str, str | None] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """One line each."""
        return [
            f"{row.model}, {row.what}, batch {row.batch}: {row.problem}" for row in self.rows if row.problem
        ]

    def tables(self) -> list[tuple[str, list[tuple[str, ...]]]]:
        """For each model and batch a title, and a line of `HEAD`'s cells for each row."""
        titles = dict.fromkeys(map(_title, self.rows))
        return [(title, [_cells(row) for row in self.rows if _title(row) == title]) for title in titles]

    def __str__(self) -> str:
        tables = [f"{title}\n{text_table(HEAD, rows)}" for title, rows in self.tables()]
        return "\n\n".join([self.machine, *tables, *self.problems])

    def to_json(self) -> str:
        """All of it, as one JSON object."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def draw(self, path: str | Path) -> Path:
        """Accuracy over latency as a PNG; where no accuracy is known, images per second over latency.

        Raises:
            MissingExtraError: matplotlib is not installed.
            ConfigError: another ending than .png, or there is nothing to draw.
            RunError: it cannot be written.
        """
        from lightcars.benching.plot import draw_bench

        return draw_bench(self, Path(path))


def published_accuracy(origin: WeightsOrigin | None) -> Accuracy | None:
    """What the catalogue says of weights that were taken from it whole.

    It holds as long as nobody trained them since.
    """
    entry = None if origin is None or origin.adapted or origin.initialized else find_tag(origin.weights)
    if entry is None or entry.top1_percent is None:
        return None
    return Accuracy(
        top1_percent=entry.top1_percent,
        data=f"{entry.data}, as published",
        resolution=entry.preprocessing.resolution,
    )


def _title(row: BenchRow) -> str:
    step = ", training step" if row.layout else ""
    return f"{row.model}, {row.batch} x {row.resolution} px{step}"


def _cells(row: BenchRow) -> tuple[str, ...]:
    def cell(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return (
        row.what,
        cell(row.latency_ms, ".2f"),
        cell(row.p95_ms, ".2f"),
        cell(row.images_per_second, ".1f"),
        cell(row.memory_mib, ".0f"),
        cell(row.setup_s, ".1f"),
        cell(row.difference, ".0e")
        if row.top1_change_percent is None
        else f"top-1 {row.top1_change_percent:+.2f}",
    )
