"""One row of the results of `bench`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lightcars.benching.cases import BenchCase
from lightcars.models.origin import WeightsOrigin
from lightcars.weights.catalog import find_tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Known accuracy of weights; `bench` does not measure it.

    Attributes:
        top1_percent: top-1 accuracy.
        data: dataset and source of the number.
        resolution: pixels at which it was measured; at others the accuracy is unknown.
    """

    top1_percent: float
    data: str
    resolution: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow(BenchCase):
    """One engine in one precision with one batch size, or one kind of training step.

    Attributes:
        model, engine, precision, batch, resolution, threads, device, memory_format: see `BenchCase`.
        latency_ms: median latency of one batch.
        p95_ms: 95th percentile of the latency.
        calls: number of calls measured.
        images_per_second: throughput at the median latency, one batch after the other.
        memory_mib: on a CPU peak resident memory beyond Python and PyTorch (weights, engine, activations); on
            a GPU the peak that PyTorch allocated.
        setup_s: time to convert and compile; None where there is nothing to set up.
        difference: largest difference of the logits from eager fp32 ones, as a fraction of the largest logit;
            None for eager fp32 itself, and where it is not finite.
        eager_difference, perturbation_difference, limit: see `Measurement`.
        top1_change_percent: for int8: its top-1 minus the model's, in percentage points.
        problem: why nothing was measured; or, with measurements, why the outputs do not match.
        accuracy: of the weights at this resolution, if known, and not for int8.
    """

    latency_ms: float | None = None
    p95_ms: float | None = None
    calls: int | None = None
    images_per_second: float | None = None
    memory_mib: float | None = None
    setup_s: float | None = None
    difference: float | None = None
    eager_difference: float | None = None
    perturbation_difference: float | None = None
    limit: float | None = None
    top1_change_percent: float | None = None
    problem: str | None = None
    accuracy: Accuracy | None = None

    @property
    def what(self) -> str:
        """Engine and precision, or precision and memory format of a training step."""
        return (
            f"{self.precision} {self.memory_format}"
            if self.memory_format
            else f"{self.engine} {self.precision}"
        )

    @classmethod
    def of(cls, case: BenchCase, measured: dict[str, Any], accuracy: Accuracy | None) -> BenchRow:
        """Create a row from the results of the case's processes."""
        latency_ms = measured.get("latency_ms")
        same = accuracy is not None and accuracy.resolution == case.resolution
        known = accuracy if same and case.precision != "int8" else None
        return cls(
            **asdict(case),
            **measured,
            images_per_second=None if latency_ms is None else 1000 * case.batch / latency_ms,
            accuracy=known,
        )


def published_accuracy(origin: WeightsOrigin | None) -> Accuracy | None:
    """Return the accuracy that the catalog states for unmodified weights from it.

    It no longer holds once they have been trained further.
    """
    entry = None if origin is None or origin.adapted or origin.initialized else find_tag(origin.weights)
    if entry is None or entry.top1_percent is None:
        return None
    return Accuracy(
        top1_percent=entry.top1_percent,
        data=f"{entry.data}, as published",
        resolution=entry.preprocessing.resolution,
    )
