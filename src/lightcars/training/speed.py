"""Precision and memory format of a run: by what the machine has, or by a measurement where one is asked for.

The measurement trains a few steps of a copy of the model. All settings take turns and the least time of each
counts, because other processes on the machine only ever add to it. Nothing of the run is touched: not the
weights, not the statistics of the batch norms, not the random numbers.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from lightcars.deploy.cpu import computes_bf16
from lightcars.models.device import wait_for
from lightcars.models.image_model import ImageModel
from lightcars.models.memory_format import TORCH_MEMORY_FORMATS
from lightcars.recipes.recipe import AUTO, FASTEST, MemoryFormat, Precision, Recipe
from lightcars.runs.description import TrainingSpeed

ROUNDS = 3
LONGEST_STEP_S = 0.4
"""The batch of the measured step is halved until the step is no longer than this."""
FEWEST = 8
"""Images in the smallest batch."""

DTYPES = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}

BF16_GAIN, CONTIGUOUS_GAIN = 1.1, 1.05
"""How much faster they must be: bf16 is less precise, and noise should not decide."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A precision and a memory format."""

    precision: str
    memory_format: str

    def __str__(self) -> str:
        return f"{self.precision} {self.memory_format}"


def decide_speed(
    recipe: Recipe, network: ImageModel, resolution: int, num_images: int
) -> tuple[Recipe, TrainingSpeed | None]:
    """Return the recipe with precision and memory format decided, and what was measured for it, if anything.

    "auto" is decided by what the machine has; "fastest" by a measurement.

    Args:
        recipe: of the run.
        network: the model to be trained; it stays as it is, on its device.
        resolution: pixels of the square at the end of the training.
        num_images: images to train on; a batch has no more.
    """
    device = device_of(recipe)
    settings = candidates(recipe, device)
    if len(settings) == 1:
        return _with(recipe, settings[0]), None
    batch = max(2, min(recipe.batch_size, num_images))
    found, batch = measured(_copy(network, recipe, device), settings, batch, resolution)
    if not found:  # out of memory in every setting: training will say so
        return _with(recipe, settings[0]), None
    chosen = fastest(found)
    rounded = {str(setting): float(f"{ms:.4g}") for setting, ms in found.items()}
    speed = TrainingSpeed(chosen=str(chosen), milliseconds=rounded, batch=batch, resolution=resolution)
    return _with(recipe, chosen), speed


def device_of(recipe: Recipe) -> torch.device:
    """Return the first device on which the recipe trains."""
    wanted = recipe.accelerator
    if wanted in (AUTO, "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", 0)
    if wanted in (AUTO, "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def candidates(recipe: Recipe, device: torch.device) -> list[Setting]:
    """Return what the recipe may be run with on the device, the preferred setting first.

    There are several only where the recipe asks for the fastest one.
    """
    bf16 = computes_bf16(device)
    precisions: dict[str, list[str]] = {
        AUTO: ["bf16-mixed" if bf16 else "32-true"],
        FASTEST: ["32-true", "bf16-mixed"] if bf16 else ["32-true"],
    }
    formats: dict[str, list[str]] = {AUTO: ["channels_last"], FASTEST: ["channels_last", "contiguous"]}
    return [
        Setting(precision, memory_format)
        for precision in precisions.get(recipe.precision, [recipe.precision])
        for memory_format in formats.get(recipe.memory_format, [recipe.memory_format])
    ]


def fastest(milliseconds: Mapping[Setting, float]) -> Setting:
    """Return the fastest setting; contiguous or bf16 only if it is clearly faster than without."""

    def cost(setting: Setting) -> float:
        penalty = BF16_GAIN if setting.precision != "32-true" else 1.0
        penalty *= CONTIGUOUS_GAIN if setting.memory_format == "contiguous" else 1.0
        return milliseconds[setting] * penalty

    return min(milliseconds, key=cost)


def measured(
    model: ImageModel, settings: Sequence[Setting], batch: int, resolution: int
) -> tuple[dict[Setting, float], int]:
    """Measure a training step in each setting.

    The batch is halved until a step is short. `model` is used up.

    Returns:
        Milliseconds of each setting, without those that run out of memory, and the batch they are for.
    """
    device = next(model.parameters()).device
    found: dict[Setting, float] = {}
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        steps = _Steps(model, resolution)
        few = min(batch, FEWEST)
        for _ in range(2):  # the first one is a warm-up
            seconds = steps.seconds(settings[0], few)
        while batch // 2 >= few and seconds * batch / few > LONGEST_STEP_S:
            batch //= 2
        for turn in range(ROUNDS + 1):
            for setting in settings:
                ms = 1000 * steps.seconds(setting, batch)
                if turn:
                    found[setting] = min(ms, found.get(setting, ms))
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return {setting: ms for setting, ms in found.items() if ms < float("inf")}, batch


class _Steps:
    """Forward and backward passes on random images."""

    def __init__(self, model: ImageModel, resolution: int) -> None:
        self._model = model
        self._side = resolution
        self._device = next(model.parameters()).device

    def seconds(self, setting: Setting, batch: int) -> float:
        """Time one step; infinite if there is not enough memory."""
        device, dtype, config = self._device, DTYPES[setting.precision], self._model.config
        shape = (batch, config.img_channels, self._side, self._side)
        labels = torch.arange(batch, device=device) % config.num_classes
        try:
            images = torch.randn(shape, device=device)
            images = images.contiguous(memory_format=TORCH_MEMORY_FORMATS[setting.memory_format])
            wait_for(device)
            start = time.perf_counter()
            with torch.autocast(device.type, dtype, enabled=dtype is not None):
                loss = F.cross_entropy(cast(Tensor, self._model(images)), labels)
            loss.backward()
            wait_for(device)
        except torch.OutOfMemoryError:
            return float("inf")
        finally:
            self._model.zero_grad()
        return time.perf_counter() - start


def _copy(network: ImageModel, recipe: Recipe, device: torch.device) -> ImageModel:
    """Copy the model to be measured: eager, nothing frozen, as that changes all settings alike."""
    model = copy.deepcopy(network).to(device).train()
    if recipe.gradient_checkpointing:
        model.gradient_checkpointing()
    return model


def _with(recipe: Recipe, setting: Setting) -> Recipe:
    return replace(
        recipe,
        precision=cast(Precision, setting.precision),
        memory_format=cast(MemoryFormat, setting.memory_format),
    )
