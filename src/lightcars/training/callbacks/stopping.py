"""Early stopping, a backbone that is frozen for the first epochs, and frozen batch norms."""

from __future__ import annotations

from typing import final

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightcars.training.distributed.ddp import rebuild_ddp
from lightcars.training.module import ClassifierModule


@final
class ResumableEarlyStopping(EarlyStopping):
    """Lightning's early stopping; a resumed run that had stopped stays stopped."""

    @property
    def state_key(self) -> str:
        """The key of its state in checkpoints, by the class's earlier name, so that old runs resume."""
        return super().state_key.replace(type(self).__name__, "StopsEarly", 1)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self.wait_count >= self.patience:
            trainer.should_stop = True


@final
class FrozenBackbone(L.Callback):
    """Freezes the backbone for the first epochs (None: all), its batch norms in evaluation mode."""

    def __init__(self, epochs: int | None) -> None:
        self.epochs = epochs
        self.backbone = nn.ModuleList()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:  # noqa: ARG002
        assert isinstance(pl_module, ClassifierModule)
        children = pl_module.model.named_children()
        self.backbone.extend(child for name, child in children if name != "classifier")
        self.backbone.requires_grad_(False)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        frozen = self.epochs is None or trainer.current_epoch < self.epochs
        self.backbone.train(not frozen)
        if not frozen and not all(weight.requires_grad for weight in self.backbone.parameters()):
            self.backbone.requires_grad_(True)
            rebuild_ddp(trainer.strategy)


@final
class FrozenBatchNorms(L.Callback):
    """Keeps all batch norms in evaluation mode, so that training does not change their statistics."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        for module in pl_module.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
