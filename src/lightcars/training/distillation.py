"""Distillation: the softened outputs of a teacher are part of the loss."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from lightcars.errors import ConfigError
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.recipe import DistillationRecipe
from lightcars.runs.trained import load_model


def load_teacher(recipe: DistillationRecipe, classes: tuple[str, ...], img_channels: int) -> ImageModel:
    """Load the teacher that a recipe names, on the CPU.

    Raises:
        CheckpointError, DownloadError: there is no model of that name.
        ConfigError: it is for other classes, does not name them, or takes other channels.
    """
    teacher = load_model(recipe.teacher, torch.device("cpu"))
    number, channels = teacher.config.num_classes, teacher.config.img_channels
    if number != len(classes):
        raise ConfigError(f"the teacher {recipe.teacher} has {number} classes, the data {len(classes)}.")
    if teacher.classes is None:
        raise ConfigError(f"the teacher {recipe.teacher} has no class names; save it with classes=.")
    if teacher.classes != classes:
        theirs, ours = next(pair for pair in zip(teacher.classes, classes, strict=True) if len({*pair}) > 1)
        raise ConfigError(
            f"the teacher {recipe.teacher} has other classes than the data ({theirs} in place of {ours})."
        )
    if channels != img_channels:
        raise ConfigError(
            f"the teacher {recipe.teacher} takes {channels} channels, the student {img_channels}."
        )
    return teacher


@final
class Teacher:
    """The teacher's part of the loss. Not a module, so that checkpoints, EMA and DDP ignore it."""

    def __init__(self, model: ImageModel, recipe: DistillationRecipe, preprocessing: Preprocessing) -> None:
        """`preprocessing`: of the images that it will get."""
        self._model = model.eval().requires_grad_(False)
        self._recipe = recipe
        own = model.preprocessing or preprocessing
        mean, std, own_mean, own_std = (
            torch.tensor(values).view(1, -1, 1, 1)
            for values in (preprocessing.mean, preprocessing.std, own.mean, own.std)
        )
        self._scale, self._shift = std / own_std, (mean - own_mean) / own_std

    def loss(self, images: Tensor, logits: Tensor, of_labels: Tensor) -> Tensor:
        """Return the whole loss.

        Args:
            images: (N, C, H, W), as the model saw them.
            logits: (N, num_classes) of the trained model for them.
            of_labels: cross-entropy of these logits.
        """
        weight, temperature = self._recipe.weight, self._recipe.temperature
        softened = F.log_softmax(self.logits(images).float() / temperature, dim=1)
        ours = F.log_softmax(logits.float() / temperature, dim=1)
        apart = F.kl_div(ours, softened, reduction="batchmean", log_target=True)
        return (1 - weight) * of_labels + weight * temperature**2 * apart

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return the teacher's (N, num_classes) for (N, C, H, W) normalized for the trained model."""
        if self._scale.device != images.device:
            self._model.to(images.device)
            self._scale, self._shift = self._scale.to(images.device), self._shift.to(images.device)
        logits: Tensor = self._model(images * self._scale + self._shift)
        return logits
