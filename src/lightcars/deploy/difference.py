"""How far an artifact's logits are from PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from lightcars.deploy.execution import without_autocast
from lightcars.deploy.packages import InferenceFunction
from lightcars.errors import ExportError


@torch.no_grad()
def largest_difference(
    model: nn.Module, engine: InferenceFunction, shapes: Iterable[tuple[int, ...]]
) -> float:
    """Return the largest difference of an engine's logits from the model's, as a fraction of the largest one.

    Args:
        model: in evaluation mode, on the CPU.
        engine: the same model in another engine.
        shapes: (N, C, H, W) of the random images to compare.

    Raises:
        ExportError: the engine fails on one, or the model's own logits are not finite.
    """
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for shape in shapes:
        images = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
        with without_autocast():
            expected = model(images.clone())
        if not expected.isfinite().all():
            raise ExportError("the model's own logits are not finite; its weights are corrupt.")
        try:
            logits = engine(images)
        except Exception as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ExportError(f"the artifact does not run on images of shape {shape}: {reason[0]}") from error
        if logits.shape != expected.shape:
            raise ExportError(f"the artifact returns {tuple(logits.shape)}, PyTorch {tuple(expected.shape)}.")
        difference = float((logits - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
        if math.isnan(difference):
            return math.nan
        worst = max(worst, difference)
    return worst
