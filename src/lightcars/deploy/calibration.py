"""Images for int8: some to which its scales are fitted, others on which its top-1 is verified."""

from __future__ import annotations

import hashlib
import os
import random
import re
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import InitVar, asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightcars.deploy.classifier import ClassifierInfo
from lightcars.errors import ConfigError, DataError, InputError
from lightcars.models.images import IMAGE_SUFFIXES, is_image, read_image, without_advice
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.transforms import fit_square
from lightcars.models.validation import require_int, require_positive

_OLD_NAMES = {"judged_folder": "verification_folder", "num_judged": "num_verification"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The images on which int8 is calibrated and verified.

    Attributes:
        folder: of images, at any depth, from which the ranges of activations are taken.
        verification_folder: of the images on which top-1 is compared; None takes other images of `folder`.
            If the folder of each image has the name of one of the model's classes, these are the labels;
            else the model's own predictions are.
        num_fitted: number of images for the ranges.
        num_verification: maximum number of images for the comparison. Where `folder` has fewer than half of
            that left, all of its images are used.
        max_loss_percent: allowed loss of top-1 in percentage points. While it is more, the most sensitive
            types of layers go back to higher precision.
        preprocessing: of the images; None takes the model's.
        judged_folder, num_judged: deprecated names of `verification_folder` and `num_verification`.
    """

    folder: str | Path
    verification_folder: str | Path | None = None
    num_fitted: int = 300
    num_verification: int = 1000
    max_loss_percent: float = 1.0
    preprocessing: Preprocessing | None = None
    judged_folder: InitVar[str | Path | None] = None
    num_judged: InitVar[int | None] = None

    def __post_init__(self, judged_folder: str | Path | None, num_judged: int | None) -> None:
        self._take_old_name("judged_folder", judged_folder)
        self._take_old_name("num_judged", num_judged)
        for name, folder in (("folder", self.folder), ("verification_folder", self.verification_folder)):
            optional = name == "verification_folder" and folder is None
            if not (optional or (isinstance(folder, str | Path) and str(folder).strip())):
                raise ConfigError(f"{name} is a folder of images, not {folder!r}.")
        require_int("num_fitted", self.num_fitted, at_least=1)
        require_int("num_verification", self.num_verification, at_least=1)
        require_positive("max_loss_percent", self.max_loss_percent, at_most=100)
        if not isinstance(self.preprocessing, Preprocessing | None):
            raise ConfigError(f"preprocessing is a lightcars.Preprocessing, not {self.preprocessing!r}.")

    def _take_old_name(self, old: str, value: Any) -> None:
        if value is None:
            return
        new = _OLD_NAMES[old]
        message = f"Calibration({old}=...) is now called {new}; the old name goes with the next version."
        warnings.warn(message, FutureWarning, stacklevel=4)
        object.__setattr__(self, new, value)

    def digest(self) -> str:
        """Return a digest of the settings and of the names, sizes and times of all images."""
        digest = hashlib.sha256(repr(self).encode())
        for folder in (self.folder, self.verification_folder):
            for file in image_files(Path(folder)) if folder is not None else ():
                status = file.stat()
                digest.update(
                    f"{file} {status.st_size} {status.st_mtime_ns}".encode("utf-8", "surrogateescape")
                )
        return digest.hexdigest()

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as JSON, for another process."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Calibration:
        """Parse the result of `to_plain`."""
        given = plain.get("preprocessing")
        if given is not None:
            given = Preprocessing(**{**given, "mean": tuple(given["mean"]), "std": tuple(given["std"])})
        return cls(**{**plain, "preprocessing": given})


def as_calibration(given: Calibration | str | Path | None) -> Calibration | None:
    """Return a calibration; a folder alone stands for one with the default settings.

    Raises:
        ConfigError: another type.
    """
    if given is None or isinstance(given, Calibration):
        return given
    if not isinstance(given, str | Path):
        raise ConfigError(f"calibration is a folder of images or a Calibration, not {given!r}.")
    return Calibration(folder=given)


@dataclass(frozen=True)
class CalibrationImages:
    """Preprocessed images, not yet normalized.

    Attributes:
        fitted, verification: (N, C, H, W) of uint8.
        labels: of the verification images, from their folders' names; None if these are not classes.
        preprocessing: for the normalization.
    """

    fitted: Tensor
    verification: Tensor
    labels: Tensor | None
    preprocessing: Preprocessing

    def batches(self, images: Tensor, batch: int) -> Iterator[Tensor]:
        """Yield normalized (batch, C, H, W) of float32; the last batch is filled up with the first images."""
        for start in range(0, len(images), batch):
            positions = torch.arange(start, start + batch) % len(images)
            yield (images[positions].float() / 255 - self._mean) / self._std

    @cached_property
    def _mean(self) -> Tensor:
        return torch.tensor(self.preprocessing.mean)[:, None, None]

    @cached_property
    def _std(self) -> Tensor:
        return torch.tensor(self.preprocessing.std)[:, None, None]


def image_files(folder: Path) -> list[Path]:
    """Return all images in a folder, at any depth, sorted by name.

    Raises:
        DataError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder} to calibrate with; give a folder of images.")
    files = sorted(path for path in _below(folder) if is_image(path))
    if not files:
        raise DataError(
            f"{folder} has no images ({', '.join(sorted(IMAGE_SUFFIXES))}); int8 is calibrated on images like"
            " those that the model will see."
        )
    return files


def _below(folder: Path) -> Iterator[Path]:
    """Yield all files, also behind links to folders, except links to a parent folder."""
    for path, folders, names in os.walk(folder, followlinks=True):
        inside = Path(path).resolve()
        folders[:] = [
            name for name in folders if (Path(path) / name).resolve() not in (inside, *inside.parents)
        ]
        yield from (Path(path) / name for name in names)


def calibration_preprocessing(info: ClassifierInfo, calibration: Calibration) -> Preprocessing:
    """Return the preprocessing of the calibration images: the calibration's own, else the model's.

    Raises:
        InputError: neither is known, or it is for another number of channels.
    """
    preprocessing = calibration.preprocessing or info.preprocessing
    if preprocessing is None:
        raise InputError(
            "the preprocessing of these weights is not known; give Calibration(preprocessing=...), or set"
            " model.preprocessing to a lightcars.Preprocessing(resolution=..., mean=..., std=...)."
        )
    if len(preprocessing.mean) != info.channels:
        raise InputError(
            f"the preprocessing has {len(preprocessing.mean)} channels, {info.name} takes {info.channels}."
        )
    return preprocessing


def load_calibration_images(
    info: ClassifierInfo, calibration: Calibration, resolution: int
) -> CalibrationImages:
    """Sample the images, always the same ones from the same files, and read them.

    Raises:
        DataError: no images, or one that cannot be read.
        InputError: the preprocessing is not known.
    """
    preprocessing = replace(calibration_preprocessing(info, calibration), resolution=resolution)
    fitted, verification = _sampled(calibration)
    labels = _labels(verification, info.classes)
    return CalibrationImages(
        fitted=_read(fitted, preprocessing, info.channels),
        verification=_read(verification, preprocessing, info.channels),
        labels=None if labels is None else torch.tensor(labels),
        preprocessing=preprocessing,
    )


def _sampled(calibration: Calibration) -> tuple[list[Path], list[Path]]:
    """Return the files to fit to, and those for the verification."""
    files = _shuffled(image_files(Path(calibration.folder)))
    fitted, others = files[: calibration.num_fitted], files[calibration.num_fitted :]
    if calibration.verification_folder is not None:
        others = _shuffled(image_files(Path(calibration.verification_folder)))
    elif 2 * len(others) < min(calibration.num_verification, len(files)):
        others = files
    return fitted, others[: calibration.num_verification]


def _shuffled(files: list[Path]) -> list[Path]:
    return random.Random(0).sample(files, len(files))


def _labels(files: Sequence[Path], classes: Sequence[str] | None) -> list[int] | None:
    """Return the classes that the images' folders name; None unless all of them are classes.

    Punctuation and case are ignored, as a folder's name cannot have "/". A name that two classes share, such
    as ImageNet's "crane", is not used.
    """
    names = [_letters(name) for name in classes or ()]
    positions = {name: place for place, name in enumerate(names) if names.count(name) == 1}
    labels = [positions.get(_letters(file.parent.name)) for file in files]
    known = [label for label in labels if label is not None]
    return known if len(known) == len(files) else None


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _read(files: Sequence[Path], preprocessing: Preprocessing, channels: int) -> Tensor:
    from torchvision.transforms.v2.functional import pil_to_tensor

    fit = fit_square(preprocessing)
    side = preprocessing.resolution
    images = torch.empty(len(files), channels, side, side, dtype=torch.uint8)

    def read(place: int) -> None:
        images[place] = pil_to_tensor(fit(read_image(files[place], channels)))

    with without_advice(), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(read, range(len(files))))
    return images
