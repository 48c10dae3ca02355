"""The setting `calibration`: on which images int8 is calibrated and verified."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightcars.errors import ConfigError, DataError
from lightcars.models.images import IMAGE_SUFFIXES, is_image
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.validation import require_int, require_positive
from lightcars.renamed import takes_old_names


@takes_old_names(judged_folder="verification_folder", num_judged="num_verification")
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
    """

    folder: str | Path
    verification_folder: str | Path | None = None
    num_fitted: int = 300
    num_verification: int = 1000
    max_loss_percent: float = 1.0
    preprocessing: Preprocessing | None = None

    def __post_init__(self) -> None:
        for name, folder in (("folder", self.folder), ("verification_folder", self.verification_folder)):
            optional = name == "verification_folder" and folder is None
            if not (optional or (isinstance(folder, str | Path) and str(folder).strip())):
                raise ConfigError(f"{name} must be a folder of images, not {folder!r}.")
        require_int("num_fitted", self.num_fitted, at_least=1)
        require_int("num_verification", self.num_verification, at_least=1)
        require_positive("max_loss_percent", self.max_loss_percent, at_most=100)
        if not isinstance(self.preprocessing, Preprocessing | None):
            raise ConfigError(f"preprocessing must be a lightcars.Preprocessing, not {self.preprocessing!r}.")

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
        raise ConfigError(f"calibration must be a folder of images or a Calibration, not {given!r}.")
    return Calibration(folder=given)


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
