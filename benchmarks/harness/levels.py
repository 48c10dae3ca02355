"""Accuracy of the make alone, of make and model, and of whole class names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness.ratios import rounded
from lightcars.data.car_names import LEVELS
from lightcars.evaluation.naming import Naming
from lightcars.runs.trained import TrainedModel


def levels(trained: TrainedModel, sets: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """Return top-1 in percent at each level, for logits (N, num_classes) and labels (N,)."""
    results: dict[str, Any] = {}
    for level in LEVELS:
        naming = Naming(trained.classes, level)
        for name, (logits, labels) in sets.items():
            own = naming.summed(torch.eye(len(trained.classes))[labels]).argmax(1)
            right = naming.summed(trained.probabilities(logits)).argmax(1) == own
            results.setdefault(level, {})[name] = rounded(100 * right.double().mean().item())
    return results
