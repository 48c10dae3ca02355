"""Which car is on a photograph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from lightcars.cars.trained import TrainedModel, load_trained
from lightcars.cars.transforms import normalize, to_pixels
from lightcars.errors import InputError
from lightcars.models.images import read_image, without_advice
from lightcars.models.transforms import fit_square


@dataclass(frozen=True, slots=True)
class Guess:
    """A class and the probability that the model gives it."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one photograph.

    Attributes:
        path: of the photograph.
        guesses: the most likely classes, the first one first.
    """

    path: Path
    guesses: tuple[Guess, ...]


def predict(
    run: str | Path,
    images: str | Path | Iterable[str | Path],
    *,
    top: int = 5,
    device: str | torch.device | None = None,
) -> list[Prediction]:
    """The most likely classes of each photograph, with the model's probabilities.

    Args:
        run: a run folder (its best model is taken) or a checkpoint folder.
        images: one image file or several.
        top: how many classes.
        device: None takes CUDA if it is there.

    Raises:
        CheckpointError: no such model.
        DataError: a file that is missing or no image; nothing is predicted then.
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
    probabilities = trained.model(normalize(pixels, trained.preprocessing)).float().softmax(dim=1)[0].cpu()
    best = probabilities.topk(min(top, len(trained.classes)))
    return Prediction(
        path,
        tuple(
            Guess(trained.classes[position], probability)
            for position, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ),
    )
