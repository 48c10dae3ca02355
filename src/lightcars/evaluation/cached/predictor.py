"""Classify image files with a prepared engine, as `lightcars.predict` does. No torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lightcars.deploy.cache import Entry
from lightcars.deploy.onnx_session import FILE, open_optimized
from lightcars.evaluation.guesses import Guess, Prediction
from lightcars.models.images import read_image, without_advice
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.transforms import fit_square

CENTERS = "centers.npy"
"""(C, K): the class centers of the OOD detector, divided by its limit; only where there is a detector."""
MAX_THREADS = 4
"""For one image, more threads of an engine gain little and take longer to start."""
NEAR_LIMIT = 1e-3
"""An image so near to the detector's limit is left to PyTorch, since rounding could decide."""
Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """An engine with what is needed to classify an image file.

    Attributes:
        run: (1, C, H, W), normalized -> (1, num_classes + K): logits, and the place of the image's features
            in the OOD detector's K directions, divided by its limit.
        classes, preprocessing, temperature: of the weights.
        centers: see `CENTERS`; None without a detector.
    """

    run: Callable[[Floats], Floats]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float
    centers: Floats | None

    @classmethod
    def open(cls, entry: Entry) -> Predictor:
        """Start the engine of a cached entry. An entry that is not as expected raises any error."""
        record, folder = entry.record, entry.folder
        plain = record["preprocessing"]
        preprocessing = Preprocessing(**{**plain, "mean": tuple(plain["mean"]), "std": tuple(plain["std"])})
        session = open_optimized(str(folder / FILE), min(MAX_THREADS, os.cpu_count() or 1))
        has_detector = (folder / CENTERS).is_file()
        return cls(
            run=lambda images: session.run(["logits"], {"images": images})[0],
            classes=tuple(record["classes"]),
            preprocessing=preprocessing,
            temperature=float(record["temperature"]),
            centers=np.load(folder / CENTERS, allow_pickle=False) if has_detector else None,
        )

    def predict(self, path: Path, top: int) -> Prediction | None:
        """Return the most likely classes of an image; None if PyTorch should decide.

        Raises:
            DataError: it cannot be read.
        """
        outputs = self.run(self._read(path))[0].astype(np.float64)
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
        return Prediction(path, guesses, familiar)

    def _read(self, path: Path) -> Floats:
        """Return an image as `to_pixels` and `normalize` of `lightcars.data.pixels` do, to the last bit."""
        image = fit_square(self.preprocessing)(read_image(path, len(self.preprocessing.mean)))
        pixels = np.atleast_3d(np.array(image)).astype(np.float32)
        mean, std = (
            np.array(values, np.float32) * np.float32(255)
            for values in (self.preprocessing.mean, self.preprocessing.std)
        )
        return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1)[None])


def predict_cached(entry: Entry, paths: list[Path], top: int) -> list[Prediction] | None:
    """Predict with a prepared engine; None where that is not possible for all images, whatever the reason.

    PyTorch then predicts, or says what is wrong with an image.
    """
    with suppress(Exception), without_advice():  # engines raise nearly anything for a corrupt file
        predictor = Predictor.open(entry)
        found = [predictor.predict(path, top) for path in paths]
        predictions = [prediction for prediction in found if prediction is not None]
        return predictions if len(predictions) == len(paths) else None
    return None


def is_prepared(record: dict[str, Any]) -> bool:
    """Return whether an entry has an engine: where none could be made, it says so."""
    return record.get("engine") is not None
