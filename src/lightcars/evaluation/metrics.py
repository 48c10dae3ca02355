"""Top-k accuracy and calibration error, computed by torchmetrics.

It is imported when a metric is computed: the import alone takes longer than a prediction.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightcars.errors import MissingExtraError

_BELOW_ONE = math.nextafter(1.0, 0.0)
"""torchmetrics puts a probability of exactly 1 into a bin of its own."""


def top_k_hits(logits: Tensor, labels: Tensor, top_k: int) -> Tensor:
    """Count the images of each class whose class is among the `top_k` most likely ones.

    Args:
        logits: (N, num_classes).
        labels: (N,), the true classes.
        top_k: how many of the most likely classes count; more than there are classes means all of them.

    Returns:
        (num_classes,) of int64.
    """
    num_classes = logits.shape[1]
    counts: Tensor = _functional().multiclass_stat_scores(
        logits,
        labels,
        num_classes=num_classes,
        top_k=min(top_k, num_classes),
        average=None,
        validate_args=False,
    )
    return counts[:, 0]


def calibration_error(confidences: NDArray[np.float64], hits: NDArray[np.bool_], num_bins: int) -> float:
    """Return the expected calibration error of the most likely classes, in [0, 1].

    Source: Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599, equation 3.

    Args:
        confidences: (N,), the probability of each image's most likely class.
        hits: (N,), whether that class is the true one.
        num_bins: bins of equal width.
    """
    error: Tensor = _functional().binary_calibration_error(
        torch.from_numpy(confidences).double().clamp(max=_BELOW_ONE),
        torch.from_numpy(hits).long(),
        n_bins=num_bins,
        validate_args=False,
    )
    return error.item()


def _functional() -> Any:
    try:
        from torchmetrics.functional import classification
    except ImportError as error:
        raise MissingExtraError("metrics need torchmetrics: pip install 'lightcars[cars]'") from error
    return classification
