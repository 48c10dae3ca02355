"""Photographs for int8: some that its scales are fitted to, others by which it is judged."""

from __future__ import annotations

import hashlib
import os
import random
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from lightcars.errors import ConfigError, DataError
from lightcars.models.image_model import ImageModel
from lightcars.models.images import IMAGE_SUFFIXES, is_image, read_image, without_advice
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.transforms import fit_square, preprocessing_of
from lightcars.models.validation import require_int, require_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What int8 is fitted to and judged by.

    Attributes:
        folder: of images, in it or at any depth below, that the engine takes the ranges of its numbers from.
        judged_folder: of those by which the change in top-1 is found; None takes others of `folder`. If the
            folder of every one is named as one of the model's classes, answers are compared with these; else
            with the model's own first class.
        num_fitted: how many to take ranges from.
        num_judged: how many to judge by, at most. Where `folder` has fewer others than half of that, the
            fitted ones are taken too.
        max_loss_percent: points of top-1 that may be lost. While it is more, the layers that change the
            answers most go back to higher precision.
    """

    folder: str | Path
    judged_folder: str | Path | None = None
    num_fitted: int = 300
    num_judged: int = 1000
    max_loss_percent: float = 1.0

    def __post_init__(self) -> None:
        for name, folder in (("folder", self.folder), ("judged_folder", self.judged_folder)):
            optional = name == "judged_folder" and folder is None
            if not (optional or (isinstance(folder, str | Path) and str(folder).strip())):
                raise ConfigError(f"{name} is a folder of photographs, not {folder!r}.")
        require_int("num_fitted", self.num_fitted, at_least=1)
        require_int("num_judged", self.num_judged, at_least=1)
        require_positive("max_loss_percent", self.max_loss_percent, at_most=100)

    def digest(self) -> str:
        """Of the settings and of what the folder holds: its files' names, sizes and times."""
        digest = hashlib.sha256(repr(self).encode())
        for folder in (self.folder, self.judged_folder):
            for file in image_files(Path(folder)) if folder is not None else ():
                found = file.stat()
                digest.update(f"{file} {found.st_size} {found.st_mtime_ns}".encode())
        return digest.hexdigest()


def as_calibration(given: Calibration | str | Path | None) -> Calibration | None:
    """A folder alone is a calibration with the usual settings.

    Raises:
        ConfigError: neither of them.
    """
    if given is None or isinstance(given, Calibration):
        return given
    if not isinstance(given, str | Path):
        raise ConfigError(f"calibration is a folder of photographs or a Calibration, not {given!r}.")
    return Calibration(folder=given)


@dataclass(frozen=True)
class Photos:
    """Photographs as the model takes them.

    Attributes:
        fitted, judged: (N, img_channels, H, W) of uint8.
        labels: of the judged ones, as their folders say; None if these are no classes of the model.
        preprocessing: for the normalization.
    """

    fitted: Tensor
    judged: Tensor
    labels: Tensor | None
    preprocessing: Preprocessing

    def batches(self, images: Tensor, batch: int) -> Iterator[Tensor]:
        """Normalized (batch, img_channels, H, W) of float32; the last is filled up with the first images."""
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
    """All images in and below a folder, in the order of their names.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder} to calibrate with; give one of photographs.")
    files = sorted(path for path in _below(folder) if is_image(path))
    if not files:
        raise DataError(
            f"{folder} has no images ({', '.join(sorted(IMAGE_SUFFIXES))}); int8 is calibrated on"
            " photographs as the model will see them."
        )
    return files


def _below(folder: Path) -> Iterator[Path]:
    """All files, also behind links to folders; a link back to a folder above is not followed."""
    for path, folders, names in os.walk(folder, followlinks=True):
        inside = Path(path).resolve()
        folders[:] = [
            name for name in folders if (Path(path) / name).resolve() not in (inside, *inside.parents)
        ]
        yield from (Path(path) / name for name in names)


def load_photos(model: ImageModel, calibration: Calibration, resolution: int) -> Photos:
    """Draws the photographs, always the same ones from the same files, and reads them.

    Raises:
        DataError: no images, or one that cannot be read.
        InputError: the preprocessing of the model's weights is not known.
    """
    preprocessing = replace(preprocessing_of(model), resolution=resolution)
    fitted, judged = _drawn(calibration)
    labels = _labels(judged, model.classes)
    channels = model.config.img_channels
    return Photos(
        fitted=_read(fitted, preprocessing, channels),
        judged=_read(judged, preprocessing, channels),
        labels=None if labels is None else torch.tensor(labels),
        preprocessing=preprocessing,
    )


def _drawn(calibration: Calibration) -> tuple[list[Path], list[Path]]:
    """The files to fit to, and those to judge by."""
    files = _shuffled(image_files(Path(calibration.folder)))
    fitted, others = files[: calibration.num_fitted], files[calibration.num_fitted :]
    if calibration.judged_folder is not None:
        others = _shuffled(image_files(Path(calibration.judged_folder)))
    elif 2 * len(others) < min(calibration.num_judged, len(files)):
        others = files
    return fitted, others[: calibration.num_judged]


def _shuffled(files: list[Path]) -> list[Path]:
    return random.Random(0).sample(files, len(files))


def _labels(files: Sequence[Path], classes: Sequence[str] | None) -> list[int] | None:
    """What the images' folders say, if all of them are classes, "/" in a name written in any way.

    A name that two classes share, as ImageNet's "crane", says nothing.
    """
    names = [_letters(name) for name in classes or ()]
    positions = {name: place for place, name in enumerate(names) if names.count(name) == 1}
    found = [positions.get(_letters(file.parent.name)) for file in files]
    known = [place for place in found if place is not None]
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
