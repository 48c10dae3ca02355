"""The training step, its data and its trainer; the loop itself is Lightning's."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import lightning as L
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from lightcars.cars.dataset import CarsDataset, DecodedPhotos, SeededSampler
from lightcars.cars.optimization import averaged, make_epoch_schedule, make_optimizer
from lightcars.cars.recipe import STEPWISE, Recipe
from lightcars.cars.recording import EpochBar, EpochLines, RunRecorder
from lightcars.cars.run import Job, Row
from lightcars.cars.schedule import learning_rate_factor
from lightcars.cars.transforms import augmentation, normalize
from lightcars.errors import DeviceError, NonFiniteLossError, RunError
from lightcars.files import replacing
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing

CHECK_FINITE_EVERY = 20
"""Steps between looks at the loss on an accelerator, where each look waits for it."""


@final
class CarsModule(L.LightningModule):
    """A model with its loss, optimizer and schedule. Batches are ((N, C, H, W) of uint8, (N,) labels)."""

    def __init__(self, model: ImageModel, recipe: Recipe, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model = model
        self.average = None if recipe.ema_decay is None else averaged(model, recipe.ema_decay)
        self.recipe = recipe
        self.preprocessing = preprocessing
        self.augmentation = augmentation(recipe.augment, preprocessing.resolution, model.config.num_classes)

    @property
    def kept(self) -> ImageModel:
        """The model that is validated and saved: the average, if there is one."""
        if self.average is None:
            return self.model
        assert isinstance(self.average.module, ImageModel)
        return self.average.module

    def on_train_batch_start(self, _batch: Any, batch_idx: int) -> None:
        """Colours, dropout and drop path depend on seed, epoch and step alone: resumed runs repeat them."""
        torch.manual_seed(hash((self.recipe.seed, self.current_epoch, batch_idx, self.global_rank)) % 2**63)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = self._augmented(*batch)
        logits = self.model(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        if self.device.type == "cpu" or batch_idx % CHECK_FINITE_EVERY == 0:
            self._check_finite(loss, "training", batch_idx)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)
        self._log_accuracy("train_top1_percent", logits, batch[1], 1)
        return loss

    def _augmented(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        change = self.augmentation
        images = normalize(pixels, self.preprocessing, change.jitter)
        if change.tensor is not None:
            images = torch.stack([change.tensor(image) for image in images])
            images = images.to(memory_format=torch.channels_last)
        if change.mix is not None:
            images, labels = change.mix(images, labels)
        return images, labels

    def on_train_batch_end(self, _outputs: Any, _batch: Any, batch_idx: int) -> None:
        """The average follows each optimizer step."""
        stepped = (batch_idx + 1) % self.recipe.accumulate == 0 or self.trainer.is_last_batch
        if self.average is not None and stepped:
            self.average.update_parameters(self.model)

    def validation_step(self, batch: tuple[Tensor, Tensor], _batch_idx: int) -> None:
        images, labels = batch
        logits = self.kept.eval()(normalize(images, self.preprocessing))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        self._check_finite(loss, "validation", _batch_idx)
        self.log("val_loss", loss, batch_size=len(labels), sync_dist=True)
        self._log_accuracy("val_top1_percent", logits, labels, 1, prog_bar=True)
        self._log_accuracy("val_top5_percent", logits, labels, 5)

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

    def _check_finite(self, loss: Tensor, what: str, step: int) -> None:
        if not torch.isfinite(loss):
            raise NonFiniteLossError(
                f"the {what} loss became {loss.item()} in epoch {self.current_epoch + 1}, step {step + 1};"
                f" lower the learning rate (now {self.recipe.optimizer.lr:g}) or use precision 32-true."
            )

    def _log_accuracy(
        self, name: str, logits: Tensor, labels: Tensor, top: int, *, prog_bar: bool = False
    ) -> None:
        best = logits.topk(min(top, logits.shape[1]), dim=1).indices
        percent = (best == labels[:, None]).any(dim=1).float().mean() * 100
        self.log(
            name,
            percent,
            on_step=False,
            on_epoch=True,
            prog_bar=prog_bar,
            batch_size=len(labels),
            sync_dist=True,
        )


@final
class CarsLoaders(L.LightningDataModule):
    """Batches of augmented training photographs and of plain validation photographs."""

    def __init__(
        self, recipe: Recipe, train: DecodedPhotos, val: DecodedPhotos, photo_transform: Any = None
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.train_set = CarsDataset(train, photo_transform)
        self.val_set = CarsDataset(val)

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        sampler = SeededSampler(
            len(self.train_set),
            self.recipe.seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        return DataLoader(
            self.train_set,
            self.recipe.batch_size,
            sampler=sampler,
            drop_last=len(sampler) >= self.recipe.batch_size,
            num_workers=self.recipe.workers,
            persistent_workers=self.recipe.workers > 0,
            pin_memory=self.trainer.accelerator.__class__.__name__ == "CUDAAccelerator",
        )

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.val_set, self.recipe.batch_size)


def train(job: Job, photos: DecodedPhotos, val: DecodedPhotos, *, progress: bool) -> list[Row]:
    """Runs or goes on with a job; the rows of its table, one per epoch.

    Raises:
        NonFiniteLossError, RunError, KeyboardInterrupt: stopped before the end; what the last whole epoch
            wrote is in the run folder.
    """
    recipe = job.recipe
    recorder = RunRecorder(job.run, job.cars.classes)
    callbacks: list[L.Callback] = [recorder]
    if recipe.patience is not None:
        callbacks.append(EarlyStopping("val_loss", patience=recipe.patience, min_delta=recipe.min_delta))
    if recipe.model.freeze_epochs != 0:
        callbacks.append(FrozenTrunk(recipe.model.freeze_epochs))
    bar = progress and sys.stderr.isatty()
    if progress:
        callbacks.append(EpochLines(recorder))
    if bar:
        callbacks.append(EpochBar())
    callbacks.append(
        ModelCheckpoint(
            dirpath=job.run.checkpoints,
            filename=job.run.resumable.stem,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
    )
    module = CarsModule(job.network.train(), recipe, job.preprocessing)
    loaders = CarsLoaders(recipe, photos, val, module.augmentation.photo)
    resumable = str(job.run.resumable) if job.run.resumable.exists() else None
    with _quiet():
        trainer = _trainer(job, callbacks, bar=bar)
        _fit(trainer, module, loaders, resumable)
    return recorder.rows


@final
class FrozenTrunk(L.Callback):
    """Trains the classifier alone for the first epochs (None: for all), the trunk's batch norms at rest."""

    def __init__(self, epochs: int | None) -> None:
        self.epochs = epochs

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, CarsModule)
        frozen = self.epochs is None or trainer.current_epoch < self.epochs
        for name, child in pl_module.model.named_children():
            if name != "classifier":
                child.requires_grad_(not frozen)
                child.train(not frozen)


def _on_several_gpus(recipe: Recipe) -> bool:
    """Where batch norms can share their statistics; torch cannot do that on processors."""
    on_gpu = recipe.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return on_gpu and recipe.devices * recipe.num_nodes > 1


def _may_freeze(recipe: Recipe) -> bool:
    return recipe.devices * recipe.num_nodes > 1 and recipe.model.freeze_epochs != 0


@final
class AtomicCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoints, written beside the one that they replace, whole or not at all."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        assert storage_options is None
        with replacing(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


def _trainer(job: Job, callbacks: list[L.Callback], *, bar: bool) -> L.Trainer:
    recipe = job.recipe
    try:
        return L.Trainer(
            max_epochs=recipe.epochs,
            accelerator=recipe.accelerator,
            devices=recipe.devices,
            num_nodes=recipe.num_nodes,
            strategy="ddp_find_unused_parameters_true" if _may_freeze(recipe) else "auto",
            sync_batchnorm=_on_several_gpus(recipe),
            accumulate_grad_batches=recipe.accumulate,
            gradient_clip_val=recipe.clip_norm,
            precision=recipe.precision,
            callbacks=callbacks,
            plugins=[AtomicCheckpoints()],
            logger=False,
            default_root_dir=job.run.path,
            enable_model_summary=False,
            enable_progress_bar=bar,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        reason = str(error).strip().partition("\n")[0]
        raise DeviceError(
            f"{recipe.devices} x {recipe.accelerator} are not to be had here ({reason})"
        ) from error


def _fit(trainer: L.Trainer, module: CarsModule, loaders: CarsLoaders, resumable: str | None) -> None:
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, loaders, ckpt_path=resumable)
    except SystemExit as stop:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from stop
    except OSError as error:
        raise RunError(
            f"the run stopped: {error.strerror or error} ({error.filename or 'run folder'})."
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_interrupt)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning without its tips and its advice on workers."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="lightning|torch")
            for message in (
                ".*does not have many workers.*",
                ".*number of training batches.*",
                ".*exists and is not empty.*",
            ):
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        logger.setLevel(level)
