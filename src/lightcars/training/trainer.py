"""The trainer with its callbacks; the loop itself is Lightning's."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from torch._dynamo.exc import TorchDynamoException

from lightcars.data.dataset import DecodedImages
from lightcars.deploy.classifier import is_untrained
from lightcars.errors import DeviceError, LightcarsError, RunError
from lightcars.progress import shows_bars
from lightcars.recipes.recipe import Recipe
from lightcars.runs.folder import Row
from lightcars.training.callbacks.agreement import SameDataCheck
from lightcars.training.callbacks.augmented import AugmentedImages
from lightcars.training.callbacks.metrics_csv import RunRecorder
from lightcars.training.callbacks.pace import Pace, Stopwatch
from lightcars.training.callbacks.progress import EpochBar, EpochLines
from lightcars.training.callbacks.stopping import FrozenBackbone, FrozenBatchNorms, ResumableEarlyStopping
from lightcars.training.callbacks.trackers import Loggers, Tracking
from lightcars.training.callbacks.workers import WorkerWatch
from lightcars.training.checkpoints import AtomicCheckpoints
from lightcars.training.distributed.ddp import (
    can_share_batch_norms,
    end_others,
    lost_process,
    strategy_for,
)
from lightcars.training.job import TrainingJob
from lightcars.training.loaders import ImageDataModule
from lightcars.training.module import ClassifierModule


def train(
    job: TrainingJob, images: DecodedImages, val: DecodedImages, *, loggers: Loggers, progress: bool
) -> list[Row]:
    """Train a job, or resume it; return the rows of its table, one per epoch.

    Raises:
        NonFiniteLossError, RunError, KeyboardInterrupt: stopped before the end; the run folder has what
            the last whole epoch wrote.
    """
    recipe = job.recipe
    recorder = RunRecorder(job.run, job.records.classes)
    watch = WorkerWatch()
    stopwatch = Stopwatch()
    pace = Pace(stopwatch)
    callbacks: list[L.Callback] = [pace, recorder, Tracking(loggers, recorder), watch]
    callbacks.append(AugmentedImages(job.run, loggers))
    if recipe.devices * recipe.num_nodes > 1:
        callbacks.append(SameDataCheck(job.run, recipe, images, val))
    if recipe.patience is not None:
        callbacks.append(
            ResumableEarlyStopping("val_loss", patience=recipe.patience, min_delta=recipe.min_delta)
        )
    if recipe.model.freeze_epochs != 0:
        callbacks.append(FrozenBackbone(recipe.model.freeze_epochs))
    if recipe.model.freeze_batch_norms and not is_untrained(job.network):
        callbacks.append(FrozenBatchNorms())
    bar = shows_bars(progress)
    if progress:
        callbacks.append(EpochLines(recorder, pace, (job.named_recipe, str(job.speed or ""), job.place)))
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
    module = ClassifierModule(
        job.network.train(),
        recipe,
        job.preprocessing,
        job.teacher,
        val_label_smoothing=recipe.label_smoothing if _began_with_smoothing(job) else 0.0,
    )
    loaders = ImageDataModule(recipe, images, val, module.augmentation.image)
    resumable = str(job.run.resumable) if job.run.resumable.exists() else None
    with _quiet():
        trainer = _trainer(job, callbacks, stopwatch, bar=bar)
        _fit(trainer, module, loaders, resumable, watch)
    return recorder.rows


def _began_with_smoothing(job: TrainingJob) -> bool:
    """Return whether an earlier version began the run: its validation losses have label smoothing."""
    return job.before is not None and not job.before.data.digests


def _trainer(job: TrainingJob, callbacks: list[L.Callback], stopwatch: Stopwatch, *, bar: bool) -> L.Trainer:
    recipe = job.recipe
    try:
        return L.Trainer(
            max_epochs=recipe.epochs,
            accelerator=recipe.accelerator,
            devices=recipe.devices,
            num_nodes=recipe.num_nodes,
            strategy=strategy_for(recipe),
            sync_batchnorm=can_share_batch_norms(recipe),
            accumulate_grad_batches=recipe.accumulate,
            gradient_clip_val=recipe.clip_norm,
            precision=cast(Any, recipe.precision),
            callbacks=callbacks,
            plugins=[AtomicCheckpoints()],
            profiler=stopwatch,
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
            f"{recipe.devices} x {recipe.accelerator} are not available here ({reason}); change --device or"
            " --devices."
        ) from error


def _fit(
    trainer: L.Trainer,
    module: ClassifierModule,
    loaders: ImageDataModule,
    resumable: str | None,
    watch: WorkerWatch,
) -> None:
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, loaders, ckpt_path=resumable)
    except SystemExit as stop:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from stop
    except Exception as error:
        end_others(trainer)
        explained = _explained(error, trainer, module.recipe, watch)
        if explained is None:
            raise
        raise explained from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_interrupt)


def _explained(error: Exception, trainer: L.Trainer, recipe: Recipe, watch: WorkerWatch) -> RunError | None:
    """Return an error of one line for an error that is not ours; None if it is to be raised as it is."""
    if isinstance(error, LightcarsError):
        return None
    if watch.explains(error):
        return RunError(
            "a data loader worker died, most likely out of memory; continue with --resume, and with fewer"
            f" --workers (now {recipe.workers}) if it happens again."
        )
    if recipe.compile and isinstance(error, TorchDynamoException):
        reason = str(error).strip().partition("\n")[0]
        return RunError(f"torch.compile failed ({reason}); start again without compile.")
    if isinstance(error, OSError):
        return RunError(f"the run stopped: {error.strerror or error} ({error.filename or 'run folder'}).")
    return lost_process(trainer, error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's tips and its advice on workers."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="lightning|torch")
            for message in (
                ".*does not have many workers.*",
                ".*number of training batches.*",
                ".*exists and is not empty.*",
                "Grad strides do not match bucket view strides",  # channels_last; it costs a copy
                ".*sync_dist=True.*",  # metrics come reduced
                "The dirpath has changed",  # of a run folder that was moved; its last.ckpt moved with it
            ):
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
