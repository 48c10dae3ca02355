"""Answers at a level: probabilities summed over the classes that have one name there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from lightcars.data.car_names import Level, names_at
from lightcars.evaluation.guesses import Guess


@final
class Naming:
    """The names at a level, and the most likely ones.

    Args:
        classes: names of a model's outputs, in order.
        level: "make", "model" (with the make) or "full".

    Attributes:
        names: the different names, in the order of the classes.

    Raises:
        ConfigError: there is no such level.
        InputError: the classes have no makes and models.
    """

    def __init__(self, classes: Sequence[str], level: Level = "full") -> None:
        shown = names_at(level, classes)
        self.names: tuple[str, ...] = tuple(classes) if level == "full" else tuple(dict.fromkeys(shown))
        self._group: Tensor | None = None
        if level != "full":
            positions = {name: position for position, name in enumerate(self.names)}
            self._group = torch.tensor([positions[name] for name in shown])

    def summed(self, probabilities: Tensor) -> Tensor:
        """(N, num_classes) -> (N, number of names)."""
        if self._group is None:
            return probabilities
        empty = probabilities.new_zeros(len(probabilities), len(self.names))
        return empty.index_add_(1, self._group, probabilities)

    def guesses(self, probabilities: Tensor, top: int) -> list[tuple[Guess, ...]]:
        """Return the `top` most likely names of each image, for (N, num_classes) probabilities."""
        best = self.summed(probabilities).topk(min(top, len(self.names)), dim=1)
        rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [
            tuple(
                Guess(self.names[position], value) for position, value in zip(positions, values, strict=True)
            )
            for positions, values in rows
        ]
