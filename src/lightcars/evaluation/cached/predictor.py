"""Classify image files with a prepared engine, as `lightcars.predict` does. No torch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightcars.deploy.cache import Entry
from lightcars.deploy.onnx_session import FILE, open_optimized, open_session, options
from lightcars.evaluation.guesses import Guess, Prediction
from lightcars.evaluation.views import Views, as_channels, cars_of
from lightcars.models.images import read_image, without_advice
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.transforms import fit_square

CENTERS = "centers.npy"
"""(C, K): the class centers of the OOD detector, divided by its limit; only where there is a detector."""
FINDER = "finder.onnx"
"""The car finder; only for weights that were trained on cars cut to their boxes."""
MAX_THREADS = 4
"""For one image, more threads of an engine gain little and take longer to start."""
NEAR_LIMIT = 1e-3
"""An image so near to the detector's limit is left to PyTorch, since rounding could decide."""
NEAR_SCORE = 1e-5
"""The same for a box so near to the finder's least score; engines differ by less."""
Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finder:
    """The car finder in an engine.

    Attributes:
        run: (1, 3, S, S), normalized -> (1, N, 5): score, left, top, right, bottom from 0 to 1.
        preprocessing: from an image to its input.
        least_score: boxes with a lower score are no cars.
    """

    run: Callable[[Floats], Floats]
    preprocessing: Preprocessing
    least_score: float

    @classmethod
    def open(cls, path: Path) -> Finder:
        """Start the engine of a file that `write_finder` wrote."""
        session = open_session(str(path), options(_threads()))
        texts = session.get_modelmeta().custom_metadata_map
        return cls(
            run=lambda images: session.run(["boxes"], {"images": images})[0],
            preprocessing=_preprocessing(json.loads(texts["preprocessing"])),
            least_score=float(texts["least_score"]),
        )

    def views(self, image: Image.Image) -> Views | None:
        """Return the largest car of an RGB image, or all of the image; None if PyTorch should decide."""
        cells = self.run(to_input(image, self.preprocessing))[0]
        if not np.isfinite(cells).all() or (abs(cells[:, 0] - self.least_score) < NEAR_SCORE).any():
            return None
        boxes = tuple(car.box for car in cars_of(cells, image.size, self.least_score)[:1])
        return Views(tuple(image.crop(box) for box in boxes) or (image,), boxes, looked=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """An engine with what is needed to classify an image file.

    Attributes:
        run: (1, C, H, W), normalized -> (1, num_classes + K): logits, and the place of the image's features
            in the OOD detector's K directions, divided by its limit.
        classes, preprocessing, temperature: of the weights.
        centers: see `CENTERS`; None without a detector.
        finder: see `FINDER`; None for other weights.
    """

    run: Callable[[Floats], Floats]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float
    centers: Floats | None
    finder: Finder | None = None

    @classmethod
    def open(cls, entry: Entry) -> Predictor:
        """Start the engine of a cached entry. An entry that is not as expected raises any error."""
        record, folder = entry.record, entry.folder
        session = open_optimized(str(folder / FILE), _threads())
        return cls(
            run=lambda images: session.run(["logits"], {"images": images})[0],
            classes=tuple(record["classes"]),
            preprocessing=_preprocessing(record["preprocessing"]),
            temperature=float(record["temperature"]),
            centers=np.load(folder / CENTERS, allow_pickle=False) if record["has_detector"] else None,
            finder=Finder.open(folder / FINDER) if record["expects_cut_cars"] else None,
        )

    def predict(self, path: Path, top: int, *, cut: bool = False) -> Prediction | None:
        """Return the most likely classes of an image; None if PyTorch should decide.

        Args:
            path: of the image.
            top: number of classes.
            cut: whether it is cut to its car already, so that none is looked for.

        Raises:
            DataError: it cannot be read.
        """
        channels = len(self.preprocessing.mean)
        if self.finder is None or cut:
            views: Views | None = Views((read_image(path, channels),))
        else:
            views = self.finder.views(read_image(path, 3))
        if views is None:
            return None
        image = as_channels(views.images[0], channels)
        outputs = self.run(to_input(image, self.preprocessing))[0].astype(np.float64)
        count = len(self.classes)
        if not np.isfinite(outputs).all() or len(outputs) < count:
            return None
        familiar = None
        if self.centers is not None:
            distance = float(np.linalg.norm(self.centers - outputs[count:], axis=1).min())
            if abs(distance - 1) < NEAR_LIMIT:
                return None
            familiar = distance < 1
        logits = outputs[:count] / self.temperature
        exponents = np.exp(logits - logits.max())
        probabilities = exponents / exponents.sum()
        best = np.argsort(-probabilities, kind="stable")[:top]
        guesses = tuple(Guess(self.classes[place], float(probabilities[place])) for place in best)
        return Prediction.of(path, views.answer([guesses], [familiar]))


def to_input(image: Image.Image, preprocessing: Preprocessing) -> Floats:
    """Return an image as `to_pixels` and `normalize` of `lightcars.data.pixels` do, to the last bit."""
    pixels = np.atleast_3d(np.array(fit_square(preprocessing)(image))).astype(np.float32)
    mean, std = (
        np.array(values, np.float32) * np.float32(255) for values in (preprocessing.mean, preprocessing.std)
    )
    return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1)[None])


def _preprocessing(plain: dict[str, Any]) -> Preprocessing:
    return Preprocessing(**{**plain, "mean": tuple(plain["mean"]), "std": tuple(plain["std"])})


def _threads() -> int:
    return min(MAX_THREADS, os.cpu_count() or 1)


def predict_cached(
    entry: Entry, paths: list[Path], top: int, *, cut: bool = False
) -> list[Prediction] | None:
    """Predict with a prepared engine; None where that is not possible for all images, whatever the reason.

    PyTorch then predicts, or says what is wrong with an image.
    """
    with suppress(Exception), without_advice():  # engines raise nearly anything for a corrupt file
        predictor = Predictor.open(entry)
        found = [predictor.predict(path, top, cut=cut) for path in paths]
        predictions = [prediction for prediction in found if prediction is not None]
        return predictions if len(predictions) == len(paths) else None
    return None


def is_prepared(record: dict[str, Any]) -> bool:
    """Return whether an entry has an engine: where none could be made, it says so."""
    return record.get("engine") is not None
