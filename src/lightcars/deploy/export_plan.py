"""One artifact to write: its weights and input, and how it is converted and verified."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from lightcars.deploy.calibration import Calibration, as_calibration
from lightcars.deploy.classifier import describe, is_untrained, run_classifier
from lightcars.deploy.description import Description
from lightcars.deploy.difference import largest_difference
from lightcars.deploy.execution import without_autocast
from lightcars.deploy.formats import ExportPrecision, Format, check_precision
from lightcars.deploy.graphs import for_export, to_program
from lightcars.deploy.quantize import top1_change
from lightcars.deploy.reference import Reference
from lightcars.deploy.source import Source
from lightcars.deploy.verification import TOLERANCES, limit_of, loss_problem
from lightcars.errors import ConfigError, ExportError, InputError
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.validation import MIN_RESOLUTION, require_int

CALIBRATION_BATCH = 8
"""Images at a time of a calibration, where the batch size is dynamic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSize:
    """Input of an artifact.

    Attributes:
        batch: batch size; None makes it dynamic.
        resolution: pixels of the square input; None takes that of the weights' preprocessing.
        any_size: makes height and width dynamic.
    """

    batch: int | None = None
    resolution: int | None = None
    any_size: bool = False

    def __post_init__(self) -> None:
        if self.batch is not None:
            require_int("batch", self.batch, at_least=1)
        if self.resolution is not None:
            require_int("resolution", self.resolution, at_least=MIN_RESOLUTION)
        if self.resolution is not None and self.any_size:
            raise ConfigError("any_size makes the resolution dynamic; give one of the two.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The precision of an artifact; with int8, the images on which it is calibrated."""

    precision: ExportPrecision
    calibration: Calibration | None

    @classmethod
    def of(cls, kind: Format, precision: str, calibration: Calibration | str | Path | None) -> Weights:
        checked, images = check_precision(kind, precision), as_calibration(calibration)
        if checked == "int8" and images is None:
            raise ConfigError(
                "int8 is calibrated on images: give calibration=FOLDER (--calibration FOLDER), such as the"
                " training data."
            )
        if checked != "int8" and images is not None:
            raise ConfigError(
                f"calibration is for int8, and the precision is {checked}; leave out one of them."
            )
        return cls(precision=checked, calibration=images)


@dataclass(frozen=True, slots=True)
class Made:
    """Largest difference of an artifact's logits, and for int8 the change of its top-1."""

    difference: float
    top1_change_percent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One artifact to write. `resolution` is the input's, or the one to compare with where it is dynamic."""

    model: nn.Module
    format: Format
    size: InputSize
    channels: int
    resolution: int
    weights: Weights
    untrained: bool
    description: Description

    @classmethod
    def of(
        cls,
        model: nn.Module,
        format: Format,
        size: InputSize,
        preprocessing: Preprocessing | None,
        weights: Weights,
    ) -> Plan:
        ready = for_export(model)
        if format.fixed_batch:
            if size.any_size:
                raise ConfigError(f"{format.engine} takes images of one size; give a resolution instead.")
            size = replace(size, batch=size.batch or 1)
        info = describe(ready)
        known = preprocessing or info.preprocessing
        if known is not None and len(known.mean) != info.channels:
            raise InputError(
                f"the preprocessing has {len(known.mean)} channels, {info.name} takes {info.channels}."
            )
        resolution = info.resolution_or(
            size.resolution or (None if preprocessing is None else preprocessing.resolution)
        )
        description = Description(
            model=info.name,
            classes=info.classes,
            preprocessing=None if known is None else replace(known, resolution=resolution),
            temperature=info.temperature,
            license=info.license,
            precision=weights.precision,
        )
        return cls(
            model=ready,
            format=format,
            size=size,
            channels=info.channels,
            resolution=resolution,
            weights=weights,
            untrained=is_untrained(ready),
            description=description,
        )

    def make(self, path: Path, tell: Callable[[str], None]) -> Made:
        """Write the artifact and verify it."""
        precision, source, engine = self.weights.precision, self._source(), self.format.engine
        if precision == "int8":
            tell("reading the calibration images")
            _ = source.calibration_images  # an image that cannot be read is not the engine's problem
        tell(f"converting for {engine}")
        limit = self._limit(source)
        program = to_program(
            self.model,
            batch=self.size.batch,
            resolution=None if self.size.any_size else self.resolution,
            channels=self.channels,
            largest=(self.format.largest_batch, self.format.largest_side),
            half=precision == "fp16" and self.format.half_program,
        )
        with without_autocast():
            self.format.artifact.write(
                program, path, self.description.entries(), precision=precision, source=source
            )
        tell(f"comparing {engine} with PyTorch")
        run = self.format.artifact.run(path)
        difference = largest_difference(self.model, run, self.shapes())
        if not difference <= limit:  # also if it is NaN
            raise ExportError(
                f"the outputs of {engine} differ from PyTorch's by {difference:.1e} of the largest logit (the"
                f" limit is {limit:.0e}); nothing was written."
            )
        if precision != "int8":
            return Made(difference)
        change = top1_change(run, source)
        if problem := loss_problem(change, source):
            raise ExportError(f"the int8 weights are not accurate enough: {problem}; nothing was written.")
        return Made(difference, change)

    def _source(self) -> Source:
        """Return the model with its calibration; a dynamic batch is calibrated in batches."""
        images, known = self.weights.calibration, self.description.preprocessing
        if images is not None and images.preprocessing is None:
            images = replace(images, preprocessing=known)
        return Source(
            model=self.model,
            batch=self.size.batch or (1 if images is None else CALIBRATION_BATCH),
            resolution=self.resolution,
            threads=torch.get_num_threads(),
            calibration=images,
            untrained=self.untrained,
        )

    def _limit(self, source: Source) -> float:
        """Return the allowed difference, after running the model once; int8 is verified by its top-1."""
        precision = self.weights.precision
        with torch.no_grad(), without_autocast():
            run_classifier(self.model, torch.zeros(next(iter(self.shapes()))))
        if precision == "int8":
            return math.inf
        if precision == "fp32" and not self.untrained:
            return TOLERANCES["fp32"]
        error = Reference.of(replace(source, batch=1)).eager_error(precision)
        return limit_of(precision, error, untrained=self.untrained)

    def shapes(self) -> Iterable[tuple[int, ...]]:
        """Return the shapes to compare: one image and three, and a second, odd size where it is dynamic."""
        batches = (1, 3) if self.size.batch is None else (self.size.batch,)
        side = self.resolution
        sides = [(side, side)]
        if self.size.any_size:
            least = getattr(self.model, "min_dynamic_resolution", MIN_RESOLUTION + 1)
            odd = (max(least + 2, side * 3 // 4 | 1), max(least, side * 7 // 8 | 1))
            sides = [(max(least, side),) * 2, odd]
        return [(batch, self.channels, *pair) for pair in sides for batch in batches]
