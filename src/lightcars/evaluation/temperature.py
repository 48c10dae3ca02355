"""What belongs to weights and is fitted after the training: the temperature, and what looks familiar."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from lightcars.data.dataset import DecodedImages, ImageDataset
from lightcars.data.pixels import normalize
from lightcars.evaluation.evaluate import logits_of
from lightcars.models.familiarity import fit_familiarity, pooled
from lightcars.runs.trained import TrainedModel

SEARCHED = (math.log(0.05), math.log(20.0))
"""Logarithms of the temperatures that are looked at; their loss has one minimum."""


def calibrate(trained: TrainedModel, train: DecodedImages, val: DecodedImages) -> None:
    """Fits the model's `temperature` to `val`, and its `familiarity` to `train` with the limit from `val`.

    Args:
        trained: whose model learns both; weights and answers stay as they are.
        train: what it was trained on.
        val: of the same classes, and not trained on.
    """
    labels = torch.from_numpy(val.labels)
    trained.model.temperature = fit_temperature(logits_of(trained, ImageDataset(val), 64), labels)
    trained.model.familiarity = fit_familiarity(
        features_of(trained, train), torch.from_numpy(train.labels), features_of(trained, val)
    )


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature with the least cross-entropy.

    Args:
        logits: (N, num_classes), of photographs that were not trained on.
        labels: (N,), their classes.
    """
    from scipy.optimize import minimize_scalar

    values = logits.detach().double()

    def loss(logarithm: float) -> float:
        return F.cross_entropy(values / math.exp(logarithm), labels).item()

    found = minimize_scalar(loss, bounds=SEARCHED, method="bounded", options={"xatol": 1e-4})
    return math.exp(found.x)


@torch.inference_mode()
def features_of(trained: TrainedModel, photos: DecodedImages, batch_size: int = 64) -> Tensor:
    """(N, F): the means of the maps at each stride, in the order of the photographs."""
    maps = (
        trained.model.features(normalize(images.to(trained.device), trained.preprocessing))
        for images, _ in DataLoader(ImageDataset(photos), batch_size)
    )
    return torch.cat([pooled(of_batch).cpu() for of_batch in maps])
