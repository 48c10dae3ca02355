"""Classify images with a trained model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from lightcars.data.pixels import normalize, to_pixels
from lightcars.errors import InputError
from lightcars.models.images import read_image, without_advice
from lightcars.models.transforms import fit_square
from lightcars.runs.trained import TrainedModel, load_trained

OWN_WEIGHTS = "lightcars/ghostnet_thesis.cars196"
"""Weights for Stanford Cars that ship with the package; the full tag, which no folder has as its name."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A class and its probability."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        path: path of the image.
        guesses: the most likely classes, the most likely one first.
        familiar: False for an out-of-distribution (OOD) image; None if the weights have no OOD detector (see
            `ImageModel.familiarity`).
    """

    path: Path
    guesses: tuple[Guess, ...]
    familiar: bool | None = None


def predict(
    run: str | Path,
    images: str | Path | Iterable[str | Path],
    *,
    top: int = 5,
    device: str | torch.device | None = None,
) -> list[Prediction]:
    """Return the most likely classes of each image, with their probabilities.

    They are calibrated by temperature scaling if the weights have a temperature, as "cars196" does.

    Args:
        run: a run folder (its best model is used), a checkpoint folder, or the tag of published weights:
            "cars196" ships with the package.
        images: one image file or several.
        top: how many classes to return.
        device: None: CUDA if it is available.

    Raises:
        CheckpointError: there is no such model.
        DataError: a file is missing or is not an image; then nothing is predicted.
    """
    if top < 1:
        raise InputError(f"top must be at least 1, not {top}.")
    trained = load_trained(run, device)
    paths = [Path(images)] if isinstance(images, str | Path) else [Path(image) for image in images]
    with without_advice():
        return [_predict_one(trained, path, top) for path in paths]


@torch.inference_mode()
def _predict_one(trained: TrainedModel, path: Path, top: int) -> Prediction:
    image = fit_square(trained.preprocessing)(read_image(path, len(trained.preprocessing.mean)))
    pixels = to_pixels(image)[None].to(trained.device)
    model = trained.model
    maps = model.features(normalize(pixels, trained.preprocessing))
    logits = model.forward_head(model.head(maps[-1])).float().cpu()
    best = trained.probabilities(logits)[0].topk(min(top, len(trained.classes)))
    guesses = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return Prediction(
        path,
        tuple(Guess(trained.classes[position], probability) for position, probability in guesses),
        None if model.familiarity is None else bool(model.familiarity.is_familiar(maps)),
    )
