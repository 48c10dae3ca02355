"""Callbacks that make all devices and machines agree before the first step."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any, cast, final

import lightning as L
from lightning.pytorch.plugins import MixedPrecision

from lightcars.data.dataset import DecodedImages
from lightcars.errors import DataError, RunError
from lightcars.recipes.recipe import MEASURED
from lightcars.runs.folder import RunFolder
from lightcars.training.loaders import ImageDataModule
from lightcars.training.module import ClassifierModule


@final
class SameDataCheck(L.Callback):
    """Stops before the first step if a process has other photographs, or does not see the run folder."""

    def __init__(self, run: RunFolder, *photos: DecodedImages) -> None:
        self.run = run
        self.sum = 0
        for part in photos:
            names = "\n".join(sample.path.name for sample in part.samples)
            self.sum = zlib.crc32(part.labels.tobytes() + names.encode(), self.sum)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:  # noqa: ARG002
        same = trainer.strategy.broadcast(self.sum) == self.sum
        if not trainer.strategy.reduce_boolean_decision(same):
            raise DataError("the machines do not have the same photographs; give each of them the same copy.")
        if not trainer.strategy.reduce_boolean_decision(self.run.description.is_file()):
            raise RunError(f"not all machines see {self.run.path}; give a run folder that they share.")


@final
class SameSpeed(L.Callback):
    """Every process takes what the first one has chosen: that one alone has measured."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:  # noqa: ARG002
        module = cast(ClassifierModule, pl_module)
        ours = {name: getattr(module.recipe, name) for name in MEASURED}
        module.recipe = replace(module.recipe, **trainer.strategy.broadcast(ours))
        cast(ImageDataModule, cast(Any, trainer).datamodule).recipe = module.recipe
        if module.recipe.precision == "bf16-mixed":
            device = trainer.strategy.root_device.type
            trainer.strategy.precision_plugin = MixedPrecision("bf16-mixed", device)
