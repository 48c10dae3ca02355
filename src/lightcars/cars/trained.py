"""A trained model as `evaluate` and `predict` want it: from a run folder or a checkpoint folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from lightcars.cars.run import RunFolder
from lightcars.errors import CheckpointError
from lightcars.models.build import resolve_device
from lightcars.models.image_model import ImageModel
from lightcars.weights.checkpoint import CONFIG_FILE, load, read_card
from lightcars.weights.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model in evaluation mode with what belongs to its weights."""

    model: ImageModel
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    device: torch.device


def load_trained(folder: str | Path, device: str | torch.device | None = None) -> TrainedModel:
    """The best model of a run folder, or the model of a checkpoint folder.

    Args:
        folder: a run of `finetune`, or what `save` wrote with classes and preprocessing.
        device: None takes CUDA if it is there.

    Raises:
        CheckpointError: neither of them, or a checkpoint without class names or preprocessing.
    """
    path = Path(folder)
    if not path.is_dir():
        raise CheckpointError(f"there is no run or checkpoint folder {path}.")
    run = RunFolder(path)
    checkpoint = path
    if not (path / CONFIG_FILE).is_file():
        run.read()
        checkpoint = run.best
        if not checkpoint.is_dir():
            raise CheckpointError(f"{path} has no finished epoch yet; resume the run first (--resume).")
    card = read_card(checkpoint)
    if card.classes is None or card.preprocessing is None:
        raise CheckpointError(
            f"{checkpoint} does not say its class names and preprocessing; save it with both to predict."
        )
    target = resolve_device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model = load(checkpoint, device=target).to(memory_format=torch.channels_last)
    return TrainedModel(model, card.classes, card.preprocessing, target)
