"""A model for other engines: converted, run there, compared, and only then written where it was wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lightcars.deploy.description import Description
from lightcars.deploy.engines import Engine, require
from lightcars.deploy.formats import FORMATS, Format, format_of
from lightcars.deploy.graphs import as_it_is, for_export, to_program
from lightcars.deploy.measuring import TOLERANCES
from lightcars.deploy.standalone import FOLDER_SUFFIX, MODEL_FILE, check_describable, write_companions
from lightcars.errors import ConfigError, ExportError, RunError
from lightcars.files import staging
from lightcars.models.image_model import ImageModel
from lightcars.models.validation import MIN_RESOLUTION, require_int


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSize:
    """What an artifact takes.

    Attributes:
        batch: images at once; None leaves it open.
        resolution: pixels of the square input; None takes that of the weights' preprocessing.
        any_size: leaves height and width open.
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
            raise ConfigError("any size leaves the resolution open; give one of the two.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What `export` wrote and found.

    Attributes:
        path: of the artifact.
        format: of `FORMATS`.
        engine: that ran it.
        size_bytes: of its files together.
        difference: the largest difference from PyTorch's logits, as a part of the largest logit.
        compared: shapes of the images that were tried.
        standalone: the folder that predicts alone, if it was wanted.
        description: what the artifact says of itself.
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
    model: ImageModel,
    path: str | Path,
    *,
    size: InputSize = InputSize(),
    standalone: bool = False,
    force: bool = False,
    say: Callable[[str], None] | None = None,
) -> Exported:
    """Writes a model for another engine, after running it there and comparing its answers with PyTorch's.

    Class names and preprocessing, which the model knows, go with it.

    Args:
        model: one of this library's; it is not changed.
        path: of the artifact; its ending chooses the format: .onnx, .xml (OpenVINO, with a .bin beside
            it), .pt2 (torch.export) or .pte (ExecuTorch).
        size: what the artifact takes; by default any number of images of the weights' own resolution.
        standalone: also makes a folder that predicts with onnxruntime, numpy and Pillow alone; beside
            `path`, with its name and "-standalone".
        force: replaces what is there.
        say: called with each step, a line of text.

    Raises:
        ConfigError: an ending or a size that cannot be.
        MissingExtraError: the engine is not installed.
        ExportError: the engine does not take the model, or answers otherwise; nothing is written.
        RunError: a file that is there, or a folder that cannot be written to.
    """
    if not isinstance(size, InputSize):
        raise ConfigError(f"size is an InputSize, such as InputSize(batch=1), not {size!r}.")
    target, tell = Path(path), say or _nothing
    plan = _Plan.of(model, format_of(target), size)
    if target.is_dir():
        raise RunError(f"{target} is a folder; name a file in it or beside it.")
    formats = [plan.format, *([FORMATS["onnx"]] if standalone else [])]
    _check_engines(formats)
    alone = target.with_name(target.stem + FOLDER_SUFFIX) if standalone else None
    if alone is not None:
        check_describable(plan.description)
        if size.batch not in (None, 1):
            raise ConfigError(f"the standalone folder takes one photograph at a time, not {size.batch}.")
    if not force:
        _check_free([*plan.format.files(target), *([alone] if alone is not None else [])])
    with staging(target.parent) as stage:
        written = stage / target.name
        difference = plan.make(written, tell)
        size_bytes = sum(file.stat().st_size for file in plan.format.files(written))
        if alone is not None:
            inner = stage / alone.name
            inner.mkdir()
            onnx = replace(plan, format=FORMATS["onnx"])
            if plan.format is onnx.format:
                (inner / MODEL_FILE).write_bytes(written.read_bytes())
            else:
                onnx.make(inner / MODEL_FILE, tell)
            write_companions(inner, plan.description)
    return Exported(
        path=target,
        format=plan.format.name,
        engine=plan.format.engine,
        size_bytes=size_bytes,
        difference=difference,
        compared=tuple(plan.shapes()),
        standalone=alone,
        description=plan.description,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """One artifact to make. `resolution` is what the input has, or is tried with where the size is open."""

    model: ImageModel
    format: Format
    size: InputSize
    resolution: int
    description: Description

    @classmethod
    def of(cls, model: ImageModel, format: Format, size: InputSize) -> _Plan:
        ready = for_export(model)
        preprocessing = ready.preprocessing
        own = ready.config.resolution if preprocessing is None else preprocessing.resolution
        resolution = size.resolution or own
        if preprocessing is not None:
            preprocessing = replace(preprocessing, resolution=resolution)
        description = Description(
            model=type(ready).__name__,
            classes=ready.classes,
            preprocessing=preprocessing,
            temperature=ready.temperature,
            license=None if ready.origin is None else ready.origin.license,
        )
        return cls(model=ready, format=format, size=size, resolution=resolution, description=description)

    def make(self, path: Path, tell: Callable[[str], None]) -> float:
        """Writes the artifact, and returns the difference of its answers."""
        tell(f"converting for {self.format.engine}")
        program = to_program(
            self.model,
            batch=self.size.batch,
            resolution=None if self.size.any_size else self.resolution,
            largest=(self.format.largest_batch, self.format.largest_side),
        )
        with as_it_is():
            self.format.artifact.write(program, path, self.description.entries())
        tell(f"comparing {self.format.engine} with PyTorch")
        difference = largest_difference(self.model, self.format.artifact.run(path), self.shapes())
        if not difference <= TOLERANCES["fp32"]:  # nor not a number
            raise ExportError(
                f"{self.format.engine} answers otherwise than PyTorch, by {difference:.1e} of the largest"
                f" logit (allowed is {TOLERANCES['fp32']:.0e}); nothing was written."
            )
        return difference

    def shapes(self) -> Iterable[tuple[int, ...]]:
        """The images to compare with: one, three, and where the size is open another one that is odd."""
        batches = (1, 3) if self.size.batch is None else (self.size.batch,)
        channels, side = self.model.config.img_channels, self.resolution
        sides = [(side, side)]
        if self.size.any_size:
            sides = [(max(33, side),) * 2, (max(35, side * 3 // 4 | 1), max(33, side * 7 // 8 | 1))]
        return [(batch, channels, *pair) for pair in sides for batch in batches]


@torch.no_grad()
def largest_difference(model: ImageModel, engine: Engine, shapes: Iterable[tuple[int, ...]]) -> float:
    """How far an engine's logits are from the model's at most, as a part of the largest logit.

    Args:
        model: in evaluation mode, on the CPU.
        engine: the same model elsewhere.
        shapes: (N, C, H, W) of the random images to try.

    Raises:
        ExportError: the engine fails on one, or the model's own logits are no numbers.
    """
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for shape in shapes:
        images = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
        with as_it_is():
            expected = model(images.clone())
        if not expected.isfinite().all():
            raise ExportError("the model's own logits are not finite; its weights are spoilt.")
        try:
            got = engine(images)
        except Exception as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ExportError(f"the artifact does not run on images of shape {shape}: {reason[0]}") from error
        if got.shape != expected.shape:
            raise ExportError(f"the artifact gives {tuple(got.shape)}, PyTorch {tuple(expected.shape)}.")
        difference = float((got - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
        if math.isnan(difference):
            return math.nan
        worst = max(worst, difference)
    return worst


def _check_engines(formats: Iterable[Format]) -> None:
    for package in (package for kind in formats for package in kind.packages):
        require(package)


def _check_free(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.exists():
            raise RunError(f"{path} is there already; --force (in Python force=True) replaces it.")


def _nothing(_: str) -> None:
    pass
