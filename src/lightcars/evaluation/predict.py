"""Which car is on a photograph."""

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
"""Come with the package and tell the cars of Stanford Cars apart. The whole tag: no folder is called so."""


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
        familiar: whether the photograph looks like those that the model was trained on; None where its
            weights cannot tell (see `ImageModel.familiarity`).
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
    """The most likely classes of each photograph, with their probabilities.

    They are calibrated where the weights bring a temperature, as "cars196" does.

    Args:
        run: a run folder (its best model is taken), a checkpoint folder, or weights by their tag: "cars196"
            comes with the package.
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
