"""What `optimize` returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NoReturn, cast, final

import torch
from torch import Tensor

from lightcars.deploy.engines import Engine
from lightcars.deploy.measuring import Measurement, Measurements
from lightcars.deploy.runners import ENGINES, Precision
from lightcars.deploy.source import Source
from lightcars.errors import InputError, OptimizationError
from lightcars.models.config import ModelConfig
from lightcars.models.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was decided, and from what."""

    engine: str
    precision: Precision
    measurements: Measurements
    eager_ms: float
    digest: str
    from_cache: bool


@final
class OptimizedModel:
    """What `optimize` returns: a function of images that answers as the model does, without gradients.

    (N, img_channels, H, W) of float32 on the model's device -> (N, num_classes) logits there, for any N.
    The batch and the size that were asked for are the fast ones: other numbers of images are run in
    batches, the last one filled up; other sizes are run by the fused model in PyTorch.

    Attributes:
        engine, precision: what was chosen.
        batch, resolution, threads: what it was chosen for.
        measurements: what was tried and found, also where it was remembered; prints as a table.
        eager_ms: what the model itself took for one batch.
        from_cache: whether the choice was remembered from another call.
        config, classes, preprocessing: the model's.
    """

    def __init__(self, source: Source, chosen: Chosen, run: Engine) -> None:
        self.engine, self.precision = chosen.engine, chosen.precision
        self.batch, self.resolution, self.threads = source.batch, source.resolution, source.threads
        self.measurements, self.eager_ms = chosen.measurements, chosen.eager_ms
        self.from_cache = chosen.from_cache
        self.config: ModelConfig = source.model.config
        self.classes: tuple[str, ...] | None = source.model.classes
        self.preprocessing: Preprocessing | None = source.model.preprocessing
        self._source = replace(source)  # without what was converted on the way
        self._run = run
        self._any_batch = ENGINES[chosen.engine].any_batch
        self._device, self._shape = source.device, source.shape
        self._digest = chosen.digest

    def __call__(self, images: Tensor) -> Tensor:
        """(N, img_channels, H, W) -> (N, num_classes).

        Raises:
            InputError: not such images.
        """
        if not isinstance(images, Tensor):
            raise InputError(f"this model takes a tensor of images, not a {type(images).__name__}.")
        if type(images) is not Tensor or images.requires_grad:
            images = images.detach().as_subclass(Tensor)
        if images.shape == self._shape and images.dtype == torch.float32 and images.device == self._device:
            return self._run(images)
        self._check(images)
        if images.shape[0] == 0:
            return images.new_empty(0, self.config.num_classes or self.config.head_channels)
        if images.shape[2:] != self._shape[2:]:
            return self._elsewhere(images)
        return self._run(images) if self._any_batch else self._in_batches(images)

    def _in_batches(self, images: Tensor) -> Tensor:
        answers = []
        for part in images.split(self.batch):
            lacking = self.batch - len(part)
            full = torch.cat((part, part.new_zeros(lacking, *part.shape[1:]))) if lacking else part
            answers.append(self._run(full)[: len(part)])
        return torch.cat(answers)

    @cached_property
    def _elsewhere(self) -> Engine:
        """The fused model, for images of other sizes."""
        if self._source.digest() != self._digest:
            raise InputError(
                "the model's weights have changed since it was optimized, for images of"
                f" {self.resolution} x {self.resolution}; optimize it again."
            )
        return ENGINES["torch"].runner.start(self._source, "fp32", Path())

    def _check(self, images: Tensor) -> None:
        channels = self.config.img_channels
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
        """Of one batch, as measured when it was chosen."""
        return cast(float, self._row.latency_ms)

    @property
    def summary(self) -> str:
        """What was measured, in one line."""
        found = [
            f"{row.engine} {row.precision} {row.latency_ms:.3g} ms"
            if row.problem is None
            else f"{row.engine} {row.precision} dropped ({row.problem})"
            for row in self.measurements
            if (row.engine, row.precision) != self._name
        ]
        change = self.top1_change_percent
        return (
            f"{self.engine} in {self.precision}: {self.latency_ms:.3g} ms for {self.batch} x"
            f" {self.resolution} px on {self.threads} threads, eager {self.eager_ms:.3g} ms"
            f"{'' if change is None else f'; top-1 {change:+.2f} points'}"
            f"{'; ' if found else ''}{', '.join(found)}"
        )

    @property
    def top1_change_percent(self) -> float | None:
        """Points of top-1 that int8 gained or, below 0, lost on the photographs; None in other precisions."""
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

    def __reduce__(self) -> NoReturn:
        raise OptimizationError(
            "an optimized model cannot be copied or pickled; give the other process the model, and optimize"
            " it there: the choice is remembered."
        )
