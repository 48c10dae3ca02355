"""Temperature scaling, and fitting of the OOD detector, after training."""

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
"""Bounds of the search, as logarithms of temperatures; the loss has one minimum."""


def calibrate(trained: TrainedModel, train: DecodedImages, val: DecodedImages) -> None:
    """Fit the model's `temperature` on `val`, and its OOD detector (`familiarity`) on `train`.

    The threshold of the OOD detector comes from `val`. Weights and predicted classes do not change.

    Args:
        trained: its model gets both.
        train: the images that it was trained on.
        val: images of the same classes that it was not trained on.
    """
    labels = torch.from_numpy(val.labels)
    trained.model.temperature = fit_temperature(logits_of(trained, ImageDataset(val), 64), labels)
    trained.model.familiarity = fit_familiarity(
        features_of(trained, train), torch.from_numpy(train.labels), features_of(trained, val)
    )


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that minimizes the cross-entropy (Guo et al., arXiv 1706.04599).

    Args:
        logits: (N, num_classes), of images that the model was not trained on.
        labels: (N,), the true classes.
    """
    from scipy.optimize import minimize_scalar

    values = logits.detach().double()

    def loss(logarithm: float) -> float:
        return F.cross_entropy(values / math.exp(logarithm), labels).item()

    found = minimize_scalar(loss, bounds=SEARCHED, method="bounded", options={"xatol": 1e-4})
    return math.exp(found.x)


@torch.inference_mode()
def features_of(trained: TrainedModel, images: DecodedImages, batch_size: int = 64) -> Tensor:
    """Return (N, F): the channel means of the feature maps at each stride, in the order of the images."""
    maps = (
        trained.model.features(normalize(batch.to(trained.device), trained.preprocessing))
        for batch, _ in DataLoader(ImageDataset(images), batch_size)
    )
    return torch.cat([pooled(features).cpu() for features in maps])
