"""One row of what `bench` measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lightcars.benching.cases import BenchCase
from lightcars.models.origin import WeightsOrigin
from lightcars.weights.catalog import find_tag


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
class BenchRow(BenchCase):
    """One engine in one precision with one batch, or one kind of training step.

    Attributes:
        model, engine, precision, batch, resolution, threads, device, layout: what was measured (`BenchCase`).
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
    def of(cls, job: BenchCase, found: dict[str, Any], accuracy: Accuracy | None) -> BenchRow:
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


def published_accuracy(origin: WeightsOrigin | None) -> Accuracy | None:
    """What the catalog says of weights that were taken from it whole.

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
