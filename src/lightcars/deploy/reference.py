"""Reference logits of a model in eager PyTorch, and how far PyTorch's own rounding moves them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lightcars.deploy.classifier import run_classifier
from lightcars.deploy.execution import use_threads, without_autocast
from lightcars.deploy.packages import InferenceFunction
from lightcars.deploy.runners import Precision
from lightcars.deploy.source import Source
from lightcars.errors import OptimizationError
from lightcars.models.device import wait_for

MIN_IMAGES = 4
_DTYPES: Mapping[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
_EPSILONS: Mapping[Precision, float] = {"fp32": 2**-23, "fp16": 2**-10, "bf16": 2**-7}
"""Relative distance of two neighboring numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EagerError:
    """How far eager PyTorch itself is from the reference logits, as a fraction of the largest logit.

    Attributes:
        precision_difference: in that precision; in fp32 with channels_last weights and images, which PyTorch
            sums in another order.
        perturbation_difference: also with the last bit of every input value changed.
    """

    precision_difference: float
    perturbation_difference: float

    @property
    def largest(self) -> float:
        """The larger one of the two."""
        return max(self.precision_difference, self.perturbation_difference)


@dataclass(frozen=True, slots=True)
class Reference:
    """Batches of synthetic images with the logits and the latency of the eager model.

    Attributes:
        source: the model.
        batches: (N, C, H, W) each.
        expected: (N, num_classes) logits of each batch.
        eager_ms: latency of the eager model for one batch.
    """

    source: Source
    batches: tuple[Tensor, ...]
    expected: tuple[Tensor, ...]
    eager_ms: float
    _errors: dict[Precision, EagerError | None] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Source) -> Reference:
        """Run the eager model.

        Raises:
            InputError: it does not take the images, or does not return logits.
            OptimizationError: the logits are not finite.
        """
        generator = torch.Generator().manual_seed(0)
        count = -(-max(source.batch, MIN_IMAGES) // source.batch)
        batches = tuple(_images(source.shape, generator).to(source.device) for _ in range(count))
        expected, times = [], []
        with torch.no_grad(), without_autocast(source.device), use_threads(source.threads):
            for images in batches:
                start = time.perf_counter()
                expected.append(run_classifier(source.eager, images))
                wait_for(source.device)
                times.append(time.perf_counter() - start)
        if not all(logits.isfinite().all() for logits in expected):
            raise OptimizationError("the model's own logits are not finite; its weights are corrupt.")
        return cls(source, batches, tuple(expected), 1000 * min(times))

    def difference(self, engine: InferenceFunction) -> float:
        """Return the largest difference of an engine's logits, as a fraction of the largest logit.

        NaN if one of its logits is NaN.

        Raises:
            OptimizationError: the shape of its logits is another one.
        """
        worst = 0.0
        for images, expected in zip(self.batches, self.expected, strict=True):
            logits = engine(images.clone())
            if logits.shape != expected.shape:
                raise OptimizationError(f"it returns {tuple(logits.shape)}, PyTorch {tuple(expected.shape)}")
            difference = float((logits - expected).abs().max()) if expected.numel() else 0.0
            if math.isnan(difference):
                return difference
            worst = max(worst, difference)
        return worst / self.largest_logit

    def eager_error(self, precision: Precision) -> EagerError | None:
        """Return how far eager PyTorch itself is from the reference in a precision.

        None where it does not run the model in that precision. Computed once.
        """
        if precision not in self._errors:
            self._errors[precision] = None
            with suppress(Exception):  # operators that PyTorch lacks in that precision
                self._errors[precision] = self._eager_error(precision)
        return self._errors[precision]

    def _eager_error(self, precision: Precision) -> EagerError:
        dtype, device, threads = _DTYPES[precision], self.source.device, self.source.threads
        model = self.source.channels_last(dtype)
        generator = torch.Generator().manual_seed(1)

        def run(images: Tensor) -> Tensor:
            with torch.no_grad(), without_autocast(device), use_threads(threads):
                logits: Tensor = model(images.to(dtype, memory_format=torch.channels_last))
            return logits.float()

        def run_perturbed(images: Tensor) -> Tensor:
            bits = torch.randint(0, 2, images.shape, generator=generator, device="cpu").to(device)
            return run(images.to(dtype).float() * (1 + (2 * bits - 1) * _EPSILONS[precision]))

        return EagerError(
            precision_difference=self.difference(run),
            perturbation_difference=self.difference(run_perturbed),
        )

    def same_classes(self, engine: InferenceFunction, tie: float) -> bool:
        """Return whether an engine predicts the same classes.

        Args:
            engine: the engine.
            tie: classes nearer than this fraction of the largest logit count as equal.
        """
        return all(
            self._same_class(engine(images), expected, tie)
            for images, expected in zip(self.batches, self.expected, strict=True)
        )

    def _same_class(self, logits: Tensor, expected: Tensor, tie: float) -> bool:
        if not expected.shape[1]:
            return True
        chosen = expected.gather(1, logits.argmax(1, keepdim=True)).squeeze(1)
        return bool((expected.amax(1) - chosen <= tie * self.largest_logit).all())

    @property
    def largest_logit(self) -> float:
        """The largest absolute value of the reference logits."""
        return max((float(logits.abs().max()) for logits in self.expected if logits.numel()), default=1) or 1


def _images(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return patches of color with a little noise, which are more like photographs than noise alone."""
    batch, channels, height, width = shape
    plain: dict[str, Any] = {"generator": generator, "dtype": torch.float32, "device": "cpu"}
    patches = torch.randn(batch, channels, 5, 5, **plain)
    smooth = F.interpolate(patches, size=(height, width), mode="bilinear", align_corners=False)
    return smooth + 0.3 * torch.randn(shape, **plain)
