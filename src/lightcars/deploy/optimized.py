"""The model that `optimize` returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, cast, final

import torch
from torch import Tensor

from lightcars.deploy.measuring import Measurement, Measurements
from lightcars.deploy.packages import InferenceFunction
from lightcars.deploy.runners import ENGINES, EnginePrecision
from lightcars.deploy.source import Source
from lightcars.errors import InputError, OptimizationError
from lightcars.models.config import ModelConfig
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing
from lightcars.tables import html_table
from lightcars.text import rounded

UNTRAINED_NOTE = (
    "the weights are untrained: engines were verified within a multiple of eager PyTorch's own rounding error"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What `optimize` selected, and from which measurements.

    Attributes:
        engine, precision: the fastest.
        measurements: of all candidates.
        num_outputs: of the model.
        eager_ms: latency of the eager model for one batch.
        digest: of the model.
        from_cache: whether it was found in the cache.
    """

    engine: str
    precision: EnginePrecision
    measurements: Measurements
    num_outputs: int
    eager_ms: float
    digest: str
    from_cache: bool

    def to_record(self) -> dict[str, Any]:
        """Return plain data for the cache."""
        return {
            "engine": self.engine,
            "precision": self.precision,
            "measurements": self.measurements.to_record(),
            "num_outputs": self.num_outputs,
            "eager_ms": self.eager_ms,
        }


@final
class OptimizedModel:
    """The result of `optimize`: a function of images that returns the model's logits, without gradients.

    (N, C, H, W) of float32 on the model's device -> (N, num_classes) logits there, for any N. The batch size
    and resolution of `optimize` are the fast ones: other numbers of images run in batches, the last one
    padded; other resolutions run in the fused model in PyTorch.

    Attributes:
        engine, precision: selected.
        batch, resolution, threads: for which they were selected.
        measurements: of all candidates, also where they come from the cache; prints as a table.
        eager_ms: latency of the eager model for one batch.
        from_cache: whether the choice comes from the cache.
        untrained: whether the weights are as initialized, so that engines were held to PyTorch's own error.
        config: the model's; None for models of other libraries.
        classes, preprocessing: the model's, if known.
    """

    def __init__(self, source: Source, choice: Choice, run: InferenceFunction) -> None:
        self.engine, self.precision = choice.engine, choice.precision
        self.batch, self.resolution, self.threads = source.batch, source.resolution, source.threads
        self.measurements, self.eager_ms = choice.measurements, choice.eager_ms
        self.from_cache, self.untrained = choice.from_cache, source.untrained
        self.config: ModelConfig | None = (
            source.model.config if isinstance(source.model, ImageModel) else None
        )
        self.classes: tuple[str, ...] | None = source.info.classes
        self.preprocessing: Preprocessing | None = source.info.preprocessing
        self._source = replace(source)  # without its cached conversions
        self._run = run
        self._any_batch = ENGINES[choice.engine].any_batch
        self._device, self._shape = source.device, source.shape
        self._digest, self._num_outputs = choice.digest, choice.num_outputs

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, num_classes).

        Raises:
            InputError: images of another type, shape or device.
        """
        if not isinstance(images, Tensor):
            raise InputError(f"this model takes a tensor of images, not a {type(images).__name__}.")
        if type(images) is not Tensor or images.requires_grad:
            images = images.detach().as_subclass(Tensor)
        if images.shape == self._shape and images.dtype == torch.float32 and images.device == self._device:
            return self._run(images)
        self._check(images)
        if images.shape[0] == 0:
            return images.new_empty(0, self._num_outputs)
        if images.shape[2:] != self._shape[2:]:
            return self._other_size(images)
        return self._run(images) if self._any_batch else self._in_batches(images)

    def _in_batches(self, images: Tensor) -> Tensor:
        logits = []
        for part in images.split(self.batch):
            missing = self.batch - len(part)
            full = torch.cat((part, part.new_zeros(missing, *part.shape[1:]))) if missing else part
            logits.append(self._run(full)[: len(part)])
        return torch.cat(logits)

    @cached_property
    def _other_size(self) -> InferenceFunction:
        """The fused model in PyTorch, for images of other sizes."""
        if self._source.digest() != self._digest:
            raise InputError(
                "the model's weights have changed since it was optimized, for images of"
                f" {self.resolution} x {self.resolution}; optimize it again."
            )
        return ENGINES["torch"].runner.start(self._source, "fp32", Path())

    def _check(self, images: Tensor) -> None:
        channels = self._shape[1]
        if images.ndim != 4 or images.shape[1] != channels:
            raise InputError(
                f"this model takes images of shape (N, {channels}, H, W), not {tuple(images.shape)}."
            )
        if images.dtype != torch.float32:
            raise InputError(f"this model takes images of float32, not {images.dtype}; call images.float().")
        if images.device != self._device:
            raise InputError(
                f"this model is on {self._device}, the images are on {images.device}; move them there."
            )

    @property
    def latency_ms(self) -> float:
        """Latency of one batch, as measured when the engine was selected."""
        return cast(float, self._row.latency_ms)

    @property
    def summary(self) -> str:
        """All measurements in one line."""
        others = [
            f"{row.engine} {row.precision} {rounded(cast(float, row.latency_ms))} ms"
            if row.problem is None
            else f"{row.engine} {row.precision} dropped ({row.problem})"
            for row in self.measurements
            if (row.engine, row.precision) != self._name
        ]
        change = self.top1_change_percent
        return (
            f"{self.engine} in {self.precision}: {rounded(self.latency_ms)} ms for {self.batch} x"
            f" {self.resolution} px on {self.threads} threads, eager {rounded(self.eager_ms)} ms"
            f"{'' if change is None else f'; top-1 {change:+.2f} points'}"
            f"{'; ' if others else ''}{', '.join(others)}"
            f"{f'; {UNTRAINED_NOTE}' if self.untrained else ''}"
        )

    @property
    def top1_change_percent(self) -> float | None:
        """The top-1 of int8 minus the model's, in percentage points; None in other precisions."""
        return self._row.top1_change_percent

    @property
    def _row(self) -> Measurement:
        return next(row for row in self.measurements if (row.engine, row.precision) == self._name)

    @property
    def _name(self) -> tuple[str, str]:
        return self.engine, self.precision

    def __repr__(self) -> str:
        return (
            f"OptimizedModel({type(self._source.model).__name__}, engine={self.engine!r},"
            f" precision={self.precision!r}, batch={self.batch}, resolution={self.resolution},"
            f" threads={self.threads}, latency_ms={self.latency_ms:.3g})"
        )

    def _repr_html_(self) -> str:
        name = type(self._source.model).__name__
        title = (
            f"{name}: {self.engine} in {self.precision}, {self.latency_ms:.2f} ms for {self.batch} x"
            f" {self.resolution} px on {self.threads} threads (eager {self.eager_ms:.2f} ms)"
        )
        return html_table(self.measurements.HEAD, self.measurements.cells(), title=title)

    def __reduce__(self) -> NoReturn:
        raise OptimizationError(
            "an optimized model cannot be copied or pickled; send the model to the other process and"
            " optimize it there: the choice is cached."
        )
