"""Export a model for other engines: convert, run there, verify, and only then write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from lightcars.deploy.calibration import Calibration
from lightcars.deploy.description import Description
from lightcars.deploy.export_plan import InputSize, Plan, Weights
from lightcars.deploy.finder import write_finder
from lightcars.deploy.formats import FORMATS, ExportPrecision, Format, format_of
from lightcars.deploy.packages import require
from lightcars.deploy.quantize import require_nncf
from lightcars.deploy.standalone import (
    BOXES,
    FINDER_FILE,
    FOLDER_SUFFIX,
    MODEL_FILE,
    check_describable,
    write_boxes,
    write_companions,
)
from lightcars.errors import ConfigError
from lightcars.files import staging
from lightcars.models.car_finder import CarFinder
from lightcars.models.preprocessing import Preprocessing
from lightcars.outputs import check_output_file, check_output_folder


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
        precision: of the weights in the artifact.
        top1_change_percent: for int8: its top-1 minus the model's, on the calibration's verification images.
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
    precision: ExportPrecision = "fp32"
    top1_change_percent: float | None = None


def export(  # noqa: PLR0913 - what an artifact can be
    model: nn.Module,
    path: str | Path,
    *,
    size: InputSize = InputSize(),
    preprocessing: Preprocessing | None = None,
    precision: str = "fp32",
    calibration: Calibration | str | Path | None = None,
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
            .pt2 (torch.export), .pte (ExecuTorch) or .tflite (LiteRT).
        size: of the input; by default any batch size at the weights' own resolution.
        preprocessing: what the weights expect of their input; None takes what the model states, which for
            timm's models is in their `pretrained_cfg`.
        precision: of the weights in the artifact: "fp32", "fp16" (half the size) or "int8" (a quarter, with
            `calibration`). Input and output are float32 in each. int8 is for ONNX, OpenVINO and LiteRT, fp16
            for torch.export too.
        calibration: a folder of images for int8, such as the training data, or a `Calibration`.
        standalone: also write a folder that predicts with onnxruntime, numpy and Pillow only; beside `path`,
            with its name and "-standalone".
        finder: goes into that folder, for models of images that are cut to their car.
        force: replace existing files.
        say: called with a line of text before each step.

    Raises:
        ConfigError: an invalid suffix or size, an unknown input size, or a precision that the format lacks.
        MissingExtraError: the engine is not installed.
        DataError: no images to calibrate with, or one that cannot be read.
        InputError: the model does not take such images, or does not return logits; or the preprocessing of
            the calibration images is not known.
        ExportError: the engine does not support the model, its outputs do not match, or int8 loses more top-1
            than the calibration allows; nothing is written.
        RunError: an existing file, or a folder that cannot be written to.
    """
    if not isinstance(size, InputSize):
        raise ConfigError(f"size must be an InputSize, such as InputSize(batch=1), not {size!r}.")
    target, tell = Path(path), say or _silent
    weights = Weights.of(format_of(target), precision, calibration)
    plan = Plan.of(model, format_of(target), size, preprocessing, weights)
    formats = [plan.format, *([FORMATS["onnx"]] if standalone else [])]
    _check_engines(formats, weights)
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
        made = plan.make(written, tell)
        size_bytes = sum(file.stat().st_size for file in plan.format.files(written))
        if folder is not None:
            inner = stage / folder.name
            inner.mkdir()
            if plan.format is FORMATS["onnx"]:
                (inner / MODEL_FILE).write_bytes(written.read_bytes())
            else:
                Plan.of(model, FORMATS["onnx"], size, preprocessing, weights).make(inner / MODEL_FILE, tell)
            write_companions(inner, plan.description, finder=finder is not None)
            _add_finder(finder, inner, tell, replaced=folder)
    return Exported(
        path=target,
        format=plan.format.name,
        engine=plan.format.engine,
        size_bytes=size_bytes,
        difference=made.difference,
        compared=tuple(plan.shapes()),
        standalone=folder,
        description=plan.description,
        precision=weights.precision,
        top1_change_percent=made.top1_change_percent,
    )


def _add_finder(finder: CarFinder | None, inner: Path, tell: Callable[[str], None], replaced: Path) -> None:
    """Write the car finder into a standalone folder; without one, remove that of the folder it replaces."""
    if finder is not None:
        tell("converting the car finder")
        write_finder(finder, inner / FINDER_FILE)
        write_boxes(inner)
        return
    for name in (FINDER_FILE, BOXES):  # the script would use them
        (replaced / name).unlink(missing_ok=True)


def _check_engines(formats: Iterable[Format], weights: Weights) -> None:
    for package in (package for kind in formats for package in kind.packages):
        require(package)
    if weights.precision == "int8" and not all(kind.quantizes for kind in formats):
        require_nncf()


def _silent(_: str) -> None:
    pass
