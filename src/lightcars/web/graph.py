"""Convert a model for the browser: one image -> logits and, where it is known, familiarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightcars.deploy.fuse import fuse
from lightcars.deploy.graphs import OUTPUT, program_to_onnx, to_program
from lightcars.models.familiarity import Familiarity, pooled
from lightcars.models.image_model import ImageModel

if TYPE_CHECKING:
    import onnx

DISTANCE = "distance"
"""Output beside the logits, if the model has an OOD detector: above 1 an image is out-of-distribution."""


class LogitsAndDistance(nn.Module):
    """A model with its OOD detector: (1, C, H, W) -> logits (1, num_classes) and distance (1,).

    The distance is that of `Familiarity`, divided by its limit. Differences are computed one by one, because
    `torch.cdist` has no equivalent in ONNX, and its matrix form loses digits.
    """

    mean: Tensor
    directions: Tensor
    centers: Tensor

    def __init__(self, model: ImageModel, familiarity: Familiarity) -> None:
        super().__init__()
        self.model = model
        scale = 1 / max(familiarity.limit, torch.finfo(torch.float32).tiny)
        self.register_buffer("mean", familiarity.mean.cpu().float())
        self.register_buffer("directions", familiarity.directions.cpu().float() * scale)
        self.register_buffer("centers", familiarity.centers.cpu().float() * scale)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.model.features(images)
        logits = self.model.forward_head(self.model.head(maps[-1]))
        places = (pooled(maps) - self.mean) @ self.directions
        squares = (places[:, None] - self.centers[None]).square().sum(2)
        return logits, squares.amin(1).sqrt()


def for_web(model: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the module that is converted, and the names of its outputs.

    Args:
        model: an image classifier on the CPU, in float32 and evaluation mode; it is not changed.
    """
    if not isinstance(model, ImageModel):
        return model, (OUTPUT,)
    fused = model if model.fused else fuse(model)
    if model.familiarity is None:
        return fused, (OUTPUT,)
    return LogitsAndDistance(fused, model.familiarity).eval(), (OUTPUT, DISTANCE)


def web_onnx(module: nn.Module, outputs: Sequence[str], channels: int, resolution: int) -> onnx.ModelProto:
    """Convert what `for_web` returns, for one image of resolution x resolution.

    Raises:
        ExportError: the model cannot be converted.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    program = to_program(module, batch=1, resolution=resolution, channels=channels)
    return program_to_onnx(program, outputs=outputs)
