"""Images for int8: some to which its scales are fitted, others on which its top-1 is verified."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from lightcars.deploy.calibration import Calibration, image_files
from lightcars.deploy.classifier import ClassifierInfo
from lightcars.errors import InputError
from lightcars.models.images import read_image, without_advice
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.transforms import fit_square


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
