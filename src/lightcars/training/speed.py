"""Which precision and memory format train fastest here: a few steps of a copy of the model, before the run.

Each way takes its turn and its least time counts, because neighbours on the machine only ever add. Nothing of
the run is touched: not the weights, not the batch norms' statistics, not the random numbers.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from lightcars.deploy.cpu import computes_bf16
from lightcars.models.device import wait_for
from lightcars.models.image_model import ImageModel
from lightcars.models.memory_format import TORCH_MEMORY_FORMATS
from lightcars.recipes.recipe import AUTO, MemoryFormat, Precision, Recipe

ROUNDS = 3
LONGEST_STEP_S = 0.4
"""Of the measured step: the batch is halved until one step is as short."""
FEWEST = 8
"""Photographs, below which no batch is halved."""

DTYPES = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}

BF16_GAIN, CONTIGUOUS_GAIN = 1.1, 1.05
"""How much faster they must be: bf16 computes more coarsely, and a choice should not hang on noise."""


@dataclass(frozen=True, slots=True)
class Way:
    """A precision and a memory format."""

    precision: str
    memory_format: str

    def __str__(self) -> str:
        return f"{self.precision} {self.memory_format}"


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured before a run.

    Attributes:
        chosen: the way that the run takes.
        milliseconds: of forward and backward pass, least of all turns, by way.
        batch, resolution: of the images.
    """

    chosen: str
    milliseconds: Mapping[str, float]
    batch: int
    resolution: int

    def __str__(self) -> str:
        """One line for people."""
        slowest = max(self.milliseconds, key=lambda way: self.milliseconds[way])
        ours, theirs = self.milliseconds[self.chosen], self.milliseconds[slowest]
        photographs = f"{self.batch} photographs of {self.resolution} px"
        if slowest == self.chosen:
            return f"training in {self.chosen}: {ours:.3g} ms for {photographs}, forward and backward"
        return (
            f"training in {self.chosen}: {theirs / ours:.2f}x the speed of {slowest} here"
            f" ({theirs:.3g} -> {ours:.3g} ms for {photographs}, forward and backward)"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for `run.json`."""
        return asdict(self)


def settle(
    recipe: Recipe, network: ImageModel, resolution: int, num_images: int
) -> tuple[Recipe, Speed | None]:
    """The recipe with the fastest way in place of "auto", and what was measured; None without a choice.

    Args:
        recipe: of the run.
        network: what is trained; it stays as it is, on its device.
        resolution: pixels of the square at the end of the training.
        num_images: photographs to train on, of which a batch may be short.
    """
    device = device_of(recipe)
    ways = possible_ways(recipe, device)
    if len(ways) == 1:
        return _with(recipe, ways[0]), None
    batch = max(2, min(recipe.batch_size, num_images))
    found, batch = measured(_twin(network, recipe, device), ways, batch, resolution)
    if not found:  # out of memory in every way: so the training will say
        return _with(recipe, ways[0]), None
    chosen = fastest(found)
    rounded = {str(way): float(f"{ms:.4g}") for way, ms in found.items()}
    return _with(recipe, chosen), Speed(str(chosen), rounded, batch, resolution)


def device_of(recipe: Recipe) -> torch.device:
    """The first device on which the recipe trains."""
    wanted = recipe.accelerator
    if wanted in (AUTO, "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", 0)
    if wanted in (AUTO, "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def possible_ways(recipe: Recipe, device: torch.device) -> list[Way]:
    """The ways that the recipe leaves open here, what is preferred first; bf16 where the device has it."""
    precisions, formats = [str(recipe.precision)], [str(recipe.memory_format)]
    if recipe.precision == AUTO:
        precisions = ["32-true", "bf16-mixed"] if computes_bf16(device) else ["32-true"]
    if recipe.memory_format == AUTO:
        formats = ["channels_last", "contiguous"]
    return [Way(precision, layout) for precision in precisions for layout in formats]


def fastest(milliseconds: Mapping[Way, float]) -> Way:
    """The fastest way; contiguous, and bf16, only if it is clearly faster than without."""

    def cost(way: Way) -> float:
        dearer = BF16_GAIN if way.precision != "32-true" else 1.0
        dearer *= CONTIGUOUS_GAIN if way.memory_format == "contiguous" else 1.0
        return milliseconds[way] * dearer

    return min(milliseconds, key=cost)


def measured(
    model: ImageModel, ways: Sequence[Way], batch: int, resolution: int
) -> tuple[dict[Way, float], int]:
    """Milliseconds of a step in each way, and the batch they are for; without ways that lack memory.

    The batch is halved until a step is short. `model` is used up.
    """
    device = next(model.parameters()).device
    found: dict[Way, float] = {}
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        steps = _Steps(model, resolution)
        few = min(batch, FEWEST)
        for _ in range(2):  # the first one prepares
            seconds = steps.seconds(ways[0], few)
        while batch // 2 >= few and seconds * batch / few > LONGEST_STEP_S:
            batch //= 2
        for turn in range(ROUNDS + 1):
            for way in ways:
                ms = 1000 * steps.seconds(way, batch)
                if turn:
                    found[way] = min(ms, found.get(way, ms))
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return {way: ms for way, ms in found.items() if ms < float("inf")}, batch


class _Steps:
    """Forward and backward passes on images that are ready."""

    def __init__(self, model: ImageModel, resolution: int) -> None:
        self._model = model
        self._side = resolution
        self._device = next(model.parameters()).device

    def seconds(self, way: Way, batch: int) -> float:
        """Of one step; infinite if there is not enough memory."""
        device, dtype, config = self._device, DTYPES[way.precision], self._model.config
        shape = (batch, config.img_channels, self._side, self._side)
        labels = torch.arange(batch, device=device) % config.num_classes
        try:
            images = torch.randn(shape, device=device).contiguous(
                memory_format=TORCH_MEMORY_FORMATS[way.memory_format]
            )
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


def _twin(network: ImageModel, recipe: Recipe, device: torch.device) -> ImageModel:
    """A copy to be measured: eager, nothing frozen: that changes all ways alike."""
    twin = copy.deepcopy(network).to(device).train()
    if recipe.gradient_checkpointing:
        twin.gradient_checkpointing()
    return twin


def _with(recipe: Recipe, way: Way) -> Recipe:
    return replace(
        recipe,
        precision=cast(Precision, way.precision),
        memory_format=cast(MemoryFormat, way.memory_format),
    )
