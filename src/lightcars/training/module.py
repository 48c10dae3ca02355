"""The training step: model, loss, optimizer, schedule and EMA, for Lightning's loop."""

from __future__ import annotations

from typing import Any, final

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from lightcars.augmentation.color_jitter import jittered
from lightcars.augmentation.image import augmentation
from lightcars.data.pixels import normalize
from lightcars.errors import NonFiniteLossError
from lightcars.models.image_model import ImageModel
from lightcars.models.memory_format import TORCH_MEMORY_FORMATS
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.recipe import STEPWISE, Recipe
from lightcars.training.distillation import Teacher
from lightcars.training.distributed.ddp import share_buffers
from lightcars.training.epoch_metrics import EpochMetrics
from lightcars.training.optim.optimizers import averaged, make_epoch_schedule, make_optimizer
from lightcars.training.optim.schedule import learning_rate_factor

CHECK_FINITE_EVERY = 20
"""Steps between two checks of the loss on an accelerator, where each check waits for the device."""

NUM_SHOWN = 16
"""Images of the first batch that are kept to be shown."""


@final
class ClassifierModule(L.LightningModule):
    """A model with its loss, optimizer and schedule. Batches are ((N, C, H, W) of uint8, (N,) labels).

    The validation loss has no label smoothing, as that of `evaluate`, unless `val_label_smoothing` says so.
    `first_images` are those of the first batch, as the model sees them: (N, C, H, W), normalized, on the CPU.
    """

    def __init__(
        self,
        model: ImageModel,
        recipe: Recipe,
        preprocessing: Preprocessing,
        teacher: ImageModel | None = None,
        *,
        val_label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.val_label_smoothing = val_label_smoothing
        self.average = None if recipe.ema_decay is None else averaged(model, recipe.ema_decay)
        self.recipe = recipe
        self.preprocessing = preprocessing
        self.train_metrics = EpochMetrics(model.config.num_classes, 1)
        self.val_metrics = EpochMetrics(model.config.num_classes, 1, 5)
        self.augmentation = augmentation(recipe.augment, preprocessing.resolution, model.config.num_classes)
        self.teacher = None
        if recipe.distillation is not None:
            assert teacher is not None
            self.teacher = Teacher(teacher, recipe.distillation, preprocessing)
        if recipe.gradient_checkpointing:
            model.gradient_checkpointing()
        # A function, not a module: the state dict keeps its keys, and layers may still be replaced.
        self.first_images: Tensor | None = None
        self._logits = torch.compile(self._eager_logits) if recipe.compile else self._eager_logits

    def _eager_logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits

    @property
    def kept(self) -> ImageModel:
        """The model that is validated and saved: the EMA, if there is one."""
        if self.average is None:
            return self.model
        assert isinstance(self.average.module, ImageModel)
        return self.average.module

    def on_train_batch_start(self, _batch: Any, batch_idx: int) -> None:
        """Seed color jitter, dropout and drop path by epoch and step, so that resumed runs repeat them."""
        torch.manual_seed(hash((self.recipe.seed, self.current_epoch, batch_idx, self.global_rank)) % 2**63)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = self._augmented(*batch)
        if self.global_step == 0 and batch_idx == 0:
            self.first_images = images[:NUM_SHOWN].detach().float().cpu()
        images = self._laid_out(images)
        logits = self._logits(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        if self.teacher is not None:
            loss = self.teacher.loss(images, logits, loss)
        if self.device.type == "cpu" or batch_idx % CHECK_FINITE_EVERY == 0:
            everywhere = self.trainer.strategy.reduce(loss.detach().clone(), reduce_op="mean")
            self._check_finite(everywhere, "training", f", step {batch_idx + 1}")
        self.train_metrics.add(loss, logits, batch[1])
        return loss

    def _augmented(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        change = self.augmentation
        images = pixels if change.jitter is None else jittered(pixels, change.jitter)
        images = normalize(images, self.preprocessing)
        for step in change.tensors:
            images = step(images)
        if change.mix is not None:
            images, labels = change.mix(images, labels)
        return images, labels

    def _laid_out(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=TORCH_MEMORY_FORMATS[self.recipe.memory_format])

    def on_train_batch_end(self, _outputs: Any, _batch: Any, batch_idx: int) -> None:
        """Update the EMA after each optimizer step."""
        stepped = (batch_idx + 1) % self.recipe.accumulate == 0 or self.trainer.is_last_batch
        if self.average is not None and stepped:
            self.average.update_parameters(self.model)
        if self.trainer.is_last_batch:
            loss, top1 = self.train_metrics.take()
            self._log_metrics({"train_loss": loss, "train_top1_percent": top1})

    def on_validation_epoch_start(self) -> None:
        if self.trainer.world_size > 1:
            share_buffers(self, self.trainer.strategy)

    def validation_step(self, batch: tuple[Tensor, Tensor], _batch_idx: int) -> None:
        images, labels = batch
        if not len(labels):  # a device without images
            return
        logits = self.kept.eval()(self._laid_out(normalize(images, self.preprocessing)))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.val_label_smoothing)
        self.val_metrics.add(loss, logits, labels)

    def on_validation_epoch_end(self) -> None:
        loss, top1, top5 = self.val_metrics.take()
        self._check_finite(loss, "validation")
        self._log_metrics({"val_loss": loss, "val_top1_percent": top1, "val_top5_percent": top5})

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.model, self.recipe.optimizer)
        return {"optimizer": optimizer, "lr_scheduler": self._schedule(optimizer)}

    def _schedule(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        recipe = self.recipe.schedule
        total = int(self.trainer.estimated_stepping_batches)  # also counts the batches of an epoch
        if recipe.name == "ReduceLROnPlateau":  # as an "epoch", it would step after the checkpoint
            scheduler = make_epoch_schedule(optimizer, recipe)
            every = self.trainer.num_training_batches
            return {"scheduler": scheduler, "interval": "step", "frequency": every, "monitor": "val_loss"}
        if recipe.name not in STEPWISE:
            return {"scheduler": make_epoch_schedule(optimizer, recipe), "interval": "epoch"}
        warmup = round(recipe.warmup_epochs * total / self.recipe.epochs)

        def factor(step: int) -> float:
            return learning_rate_factor(step, total, warmup, recipe.name)

        return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}

    def _check_finite(self, loss: Tensor, what: str, step: str = "") -> None:
        if not torch.isfinite(loss):
            raise NonFiniteLossError(
                f"the {what} loss became {loss.item()} in epoch {self.current_epoch + 1}{step};"
                f" lower the learning rate (now {self.recipe.optimizer.lr:g}) or use precision 32-true."
            )

    def _log_metrics(self, metrics: dict[str, Tensor]) -> None:
        """Log metrics of the whole epoch, the same on every device."""
        for name, value in metrics.items():
            shown = name == "val_top1_percent"
            self.log(name, value, on_step=False, on_epoch=True, prog_bar=shown, batch_size=1)
