"""Export a model for other engines: convert, run there, verify, and only then write."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from lightcars.deploy.classifier import describe, is_untrained, run_classifier
from lightcars.deploy.description import Description
from lightcars.deploy.execution import without_autocast
from lightcars.deploy.finder import write_finder
from lightcars.deploy.formats import FORMATS, Format, format_of
from lightcars.deploy.graphs import for_export, to_program
from lightcars.deploy.packages import InferenceFunction, require
from lightcars.deploy.reference import Reference
from lightcars.deploy.source import Source
from lightcars.deploy.standalone import (
    FINDER_FILE,
    FOLDER_SUFFIX,
    MODEL_FILE,
    check_describable,
    write_boxes,
    write_companions,
)
from lightcars.deploy.verification import limit_of
from lightcars.errors import ConfigError, ExportError, InputError
from lightcars.files import staging
from lightcars.models.car_finder import CarFinder
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.validation import MIN_RESOLUTION, require_int
from lightcars.outputs import check_output_file, check_output_folder


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
class Exported:
    """Result of `export`.

    Attributes:
        path: of the artifact.
        format: a name in `FORMATS`.
        engine: that ran it.
        size_bytes: of its files together.
        difference: largest difference from PyTorch's logits, as a fraction of the largest logit.
        compared: shapes of the random images that were compared.
        standalone: the standalone folder, if there is one.
        description: the metadata of the artifact.
    """

    path: Path
    format: str
    engine: str
    size_bytes: int
    difference: float
    compared: tuple[tuple[int, ...], ...]
    standalone: Path | None
    description: Description


def export(
    model: nn.Module,
    path: str | Path,
    *,
    size: InputSize = InputSize(),
    preprocessing: Preprocessing | None = None,
    standalone: bool = False,
    finder: CarFinder | None = None,
    force: bool = False,
    say: Callable[[str], None] | None = None,
) -> Exported:
    """Write a model for another engine, after running it there and comparing its logits with PyTorch's.

    Class names and preprocessing go into its metadata, if they are known.

    Args:
        model: an image classifier: of this library, timm, torchvision or your own; it is not changed.
        path: of the artifact; its suffix selects the format: .onnx, .xml (OpenVINO, with a .bin beside it),
            .pt2 (torch.export) or .pte (ExecuTorch).
        size: of the input; by default any batch size at the weights' own resolution.
        preprocessing: what the weights expect of their input; None takes what the model states, which for
            timm's models is in their `pretrained_cfg`.
        standalone: also write a folder that predicts with onnxruntime, numpy and Pillow only; beside `path`,
            with its name and "-standalone".
        finder: goes into that folder, for models of images that are cut to their car.
        force: replace existing files.
        say: called with a line of text before each step.

    Raises:
        ConfigError: an invalid suffix or size, or an unknown input size.
        MissingExtraError: the engine is not installed.
        InputError: the model does not take such images, or does not return logits.
        ExportError: the engine does not support the model, or its outputs do not match; nothing is written.
        RunError: an existing file, or a folder that cannot be written to.
    """
    if not isinstance(size, InputSize):
        raise ConfigError(f"size is an InputSize, such as InputSize(batch=1), not {size!r}.")
    target, tell = Path(path), say or _silent
    plan = _Plan.of(model, format_of(target), size, preprocessing)
    formats = [plan.format, *([FORMATS["onnx"]] if standalone else [])]
    _check_engines(formats)
    folder = target.with_name(target.stem + FOLDER_SUFFIX) if standalone else None
    if folder is not None:
        check_describable(plan.description)
        if size.batch not in (None, 1):
            raise ConfigError(f"the standalone folder takes one image at a time, not {size.batch}.")
    for file in plan.format.files(target):
        check_output_file(file, force=force)
    if folder is not None:
        check_output_folder(folder, force=force)
    with staging(target.parent) as stage:
        written = stage / target.name
        difference = plan.make(written, tell)
        size_bytes = sum(file.stat().st_size for file in plan.format.files(written))
        if folder is not None:
            inner = stage / folder.name
            inner.mkdir()
            onnx = replace(plan, format=FORMATS["onnx"])
            if plan.format is onnx.format:
                (inner / MODEL_FILE).write_bytes(written.read_bytes())
            else:
                onnx.make(inner / MODEL_FILE, tell)
            write_companions(inner, plan.description, finder=finder is not None)
            if finder is not None:
                tell("converting the car finder")
                write_finder(finder, inner / FINDER_FILE)
                write_boxes(inner)
    return Exported(
        path=target,
        format=plan.format.name,
        engine=plan.format.engine,
        size_bytes=size_bytes,
        difference=difference,
        compared=tuple(plan.shapes()),
        standalone=folder,
        description=plan.description,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """One artifact to write. `resolution` is the input's, or the one to compare with where it is dynamic."""

    model: nn.Module
    format: Format
    size: InputSize
    channels: int
    resolution: int
    untrained: bool
    description: Description

    @classmethod
    def of(
        cls, model: nn.Module, format: Format, size: InputSize, preprocessing: Preprocessing | None
    ) -> _Plan:
        ready = for_export(model)
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
        )
        return cls(
            model=ready,
            format=format,
            size=size,
            channels=info.channels,
            resolution=resolution,
            untrained=is_untrained(ready),
            description=description,
        )

    def make(self, path: Path, tell: Callable[[str], None]) -> float:
        """Write the artifact and return the largest difference of its logits."""
        tell(f"converting for {self.format.engine}")
        limit = self._limit()
        program = to_program(
            self.model,
            batch=self.size.batch,
            resolution=None if self.size.any_size else self.resolution,
            channels=self.channels,
            largest=(self.format.largest_batch, self.format.largest_side),
        )
        with without_autocast():
            self.format.artifact.write(program, path, self.description.entries())
        tell(f"comparing {self.format.engine} with PyTorch")
        difference = largest_difference(self.model, self.format.artifact.run(path), self.shapes())
        if not difference <= limit:  # also if it is NaN
            raise ExportError(
                f"the outputs of {self.format.engine} differ from PyTorch's by {difference:.1e} of the"
                f" largest logit (the limit is {limit:.0e}); nothing was written."
            )
        return difference

    def _limit(self) -> float:
        """Return the allowed difference, after running the model once."""
        with torch.no_grad(), without_autocast():
            run_classifier(self.model, torch.zeros(next(iter(self.shapes()))))
        if not self.untrained:
            return limit_of("fp32", None, untrained=False)
        threads = torch.get_num_threads()
        source = Source(model=self.model, batch=1, resolution=self.resolution, threads=threads)
        return limit_of("fp32", Reference.of(source).eager_error("fp32"), untrained=True)

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


@torch.no_grad()
def largest_difference(
    model: nn.Module, engine: InferenceFunction, shapes: Iterable[tuple[int, ...]]
) -> float:
    """Return the largest difference of an engine's logits from the model's, as a fraction of the largest one.

    Args:
        model: in evaluation mode, on the CPU.
        engine: the same model in another engine.
        shapes: (N, C, H, W) of the random images to compare.

    Raises:
        ExportError: the engine fails on one, or the model's own logits are not finite.
    """
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for shape in shapes:
        images = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
        with without_autocast():
            expected = model(images.clone())
        if not expected.isfinite().all():
            raise ExportError("the model's own logits are not finite; its weights are corrupt.")
        try:
            logits = engine(images)
        except Exception as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ExportError(f"the artifact does not run on images of shape {shape}: {reason[0]}") from error
        if logits.shape != expected.shape:
            raise ExportError(f"the artifact returns {tuple(logits.shape)}, PyTorch {tuple(expected.shape)}.")
        difference = float((logits - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
        if math.isnan(difference):
            return math.nan
        worst = max(worst, difference)
    return worst


def _check_engines(formats: Iterable[Format]) -> None:
    for package in (package for kind in formats for package in kind.packages):
        require(package)


def _silent(_: str) -> None:
    pass
