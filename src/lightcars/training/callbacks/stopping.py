"""Early stopping, and a backbone that is frozen for the first epochs."""

from __future__ import annotations

from typing import final

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn

from lightcars.training.distributed.ddp import (
    share_gradients_anew,
)
from lightcars.training.module import ClassifierModule


@final
class ResumableEarlyStopping(EarlyStopping):
    """Lightning's, for which a resumed run that had stopped stays stopped."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self.wait_count >= self.patience:
            trainer.should_stop = True


@final
class FrozenBackbone(L.Callback):
    """Trains the classifier alone for the first epochs (None: for all), the trunk's batch norms at rest."""

    def __init__(self, epochs: int | None) -> None:
        self.epochs = epochs
        self.trunk = nn.ModuleList()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:  # noqa: ARG002
        assert isinstance(pl_module, ClassifierModule)
        children = pl_module.model.named_children()
        self.trunk.extend(child for name, child in children if name != "classifier")
        self.trunk.requires_grad_(False)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        frozen = self.epochs is None or trainer.current_epoch < self.epochs
        self.trunk.train(not frozen)
        if not frozen and not all(weight.requires_grad for weight in self.trunk.parameters()):
            self.trunk.requires_grad_(True)
            share_gradients_anew(trainer.strategy)
