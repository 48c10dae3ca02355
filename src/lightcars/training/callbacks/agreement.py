"""Check before the first step that all processes of a run agree."""

from __future__ import annotations

import zlib
from typing import final

import lightning as L

from lightcars.data.dataset import DecodedImages
from lightcars.errors import ConfigError, DataError, RunError
from lightcars.recipes.recipe import DECIDED, Recipe
from lightcars.runs.folder import RunFolder


@final
class SameDataCheck(L.Callback):
    """Stops before the first step if processes differ in images or decisions, or share no run folder."""

    def __init__(self, run: RunFolder, recipe: Recipe, *images: DecodedImages) -> None:
        self.run = run
        self.decisions = [getattr(recipe, name) for name in DECIDED]
        self.sum = 0
        for part in images:
            names = "\n".join(sample.path.name for sample in part.samples)
            self.sum = zlib.crc32(part.labels.tobytes() + names.encode(), self.sum)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:  # noqa: ARG002
        strategy = trainer.strategy
        decisions, images = strategy.broadcast((self.decisions, self.sum))
        if not strategy.reduce_boolean_decision(images == self.sum):
            raise DataError("the machines do not have the same images; give each of them the same copy.")
        if not strategy.reduce_boolean_decision(decisions == self.decisions):
            raise ConfigError(
                f"the machines differ, so their processes decided differently; name {', '.join(DECIDED)}."
            )
        if not strategy.reduce_boolean_decision(self.run.description.is_file()):
            raise RunError(f"not all machines see {self.run.path}; give a run folder that they share.")
