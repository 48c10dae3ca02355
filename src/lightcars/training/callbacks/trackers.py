"""Lightning's loggers of a run: opened before it, closed after it.

The trainer itself has no logger: a tracker that fails must not stop the training.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeAlias, cast, final
from uuid import uuid4

import lightning as L
import torch
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from lightcars.errors import RunError
from lightcars.recipes.recipe import flat
from lightcars.runs.description import RunDescription
from lightcars.training.callbacks.metrics_csv import RunRecorder
from lightcars.training.callbacks.workers import is_dead_worker
from lightcars.training.job import TrainingJob

if TYPE_CHECKING:
    from lightcars.training.module import ClassifierModule

STEPS_BETWEEN = 50
"""Optimizer steps between two values of the training loss."""

PROJECT = "lightcars"
"""Project or experiment of the runs, unless the tracker's own environment variable names one."""

Loggers: TypeAlias = dict[str, Logger]
"""Tracker -> its logger; a tracker that fails is taken out."""


def open_trackers(job: TrainingJob, ids: Mapping[str, str | None]) -> tuple[Loggers, dict[str, str]]:
    """Open the loggers of a run; new runs get the recipe.

    Args:
        job: the fine-tune, its run folder in place.
        ids: tracker -> id of the run there; None for a new run.

    Returns:
        The loggers, and the id of the run in each of them.

    Raises:
        RunError: a tracker cannot start, or cannot continue its run.
    """
    loggers: Loggers = {}
    runs: dict[str, str] = {}
    for name, run_id in ids.items():
        if name not in _OPENERS:
            continue
        try:
            loggers[name], runs[name] = _OPENERS[name](job, run_id)
        except Exception as error:
            close_trackers(loggers, failed=True)
            raise RunError(
                f"tracker {name} cannot start ({_reason(error)}); fix it, or choose others with --tracker."
            ) from error
    return loggers, runs


def resume_trackers(job: TrainingJob, before: RunDescription, names: Sequence[str]) -> Loggers:
    """Open the loggers of a resumed run, each for the run that it has; `run.json` remembers the choice."""
    loggers, runs = open_trackers(job, {name: before.tracker_runs.get(name) for name in names})
    now = replace(
        before,
        recipe=replace(before.recipe, workers=job.recipe.workers),
        trackers=tuple(names),
        tracker_runs={**before.tracker_runs, **runs},
    )
    if now != before:
        job.run.write(now)
    return loggers


def close_trackers(loggers: Loggers, *, failed: bool) -> None:
    """Close the trackers; one that fails is a warning."""
    tell(loggers, lambda logger: logger.finalize("failed" if failed else "success"))
    wandb = loggers.get("wandb")
    if wandb is not None:  # the next run of this process would continue in it
        tell({"wandb": wandb}, lambda logger: logger.experiment.finish(exit_code=int(failed)))


def tell(loggers: Loggers, say: Callable[[Any], object]) -> None:
    """Call each logger; one that fails is removed, with a warning.

    The death of a worker process, which may be reported while a logger works, is not a failure of the logger.
    """
    for name, logger in list(loggers.items()):
        try:
            say(logger)
        except Exception as error:
            if is_dead_worker(error):
                raise
            del loggers[name]
            warnings.warn(
                f"tracker {name} failed ({_reason(error)}) and is left out from now on; the run continues,"
                " and its metrics are in metrics.csv.",
                stacklevel=2,
            )


@contextmanager
def closing(loggers: Loggers) -> Iterator[None]:
    """Close the trackers at the end, also after an error, and keep TensorBoard's thread from printing."""
    usual = threading.excepthook

    def hook(caught: threading.ExceptHookArgs) -> None:
        if not type(caught.thread).__module__.startswith("tensorboard."):  # its error comes again, to us
            usual(caught)

    threading.excepthook = hook
    failed = True
    try:
        yield
        failed = False
    finally:
        close_trackers(loggers, failed=failed)
        threading.excepthook = usual


def tracked_name(column: str, select_on: str) -> str:
    """Return the name of a column of metrics.csv in trackers, with a note if the test split selects."""
    chosen = select_on == "test" and column.startswith("val_")
    return f"{column}_chosen_on_test" if chosen else column


def grouped(name: str) -> str:
    """Return the tag of a metric in TensorBoard, which groups by what is before the slash.

    >>> grouped("val_top1_percent"), grouped("learning_rate"), grouped("epoch")
    ('val/top1_percent', 'train/learning_rate', 'epoch')
    """
    split, _, rest = name.partition("_")
    if split in ("train", "val"):
        return f"{split}/{rest}"
    return f"train/{name}" if name in ("learning_rate", "seconds") else name


@final
class Tracking(L.Callback):
    """Logs each row of metrics.csv, and the training loss every few steps."""

    def __init__(self, loggers: Loggers, recorder: RunRecorder) -> None:
        self.loggers = loggers
        self.recorder = recorder
        self._last_step = 0

    def on_train_start(self, trainer: L.Trainer, *_: Any) -> None:
        self._last_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: L.Trainer, _module: L.LightningModule, outputs: Any, *_: Any
    ) -> None:
        step = trainer.global_step
        if not self.loggers or step == self._last_step:  # none, or a batch without an optimizer step
            return
        self._last_step = step
        if step % STEPS_BETWEEN == 0:  # Lightning divides the loss of each batch that is accumulated
            loss = float(outputs["loss"]) * trainer.accumulate_grad_batches
            self._log({"train_loss_step": loss}, step)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.loggers:
            select_on = cast("ClassifierModule", pl_module).recipe.select_on
            row = {tracked_name(name, select_on): value for name, value in self.recorder.rows[-1].items()}
            self._log(row, trainer.global_step)

    def _log(self, metrics: Mapping[str, float], step: int) -> None:
        def say(logger: Logger) -> None:
            in_groups = isinstance(logger, TensorBoardLogger)
            named = {grouped(name) if in_groups else name: value for name, value in metrics.items()}
            logger.log_metrics(named, step)
            logger.save()

        tell(self.loggers, say)


def _tensorboard(job: TrainingJob, run_id: str | None) -> tuple[Logger, str]:
    """Open event files in the run folder; a resumed run purges what came after its state."""
    purge = None if run_id is None else _steps_done(job) + 1
    folder = job.run.tensorboard
    logger = TensorBoardLogger(
        job.run.path, folder.name, version="", default_hp_metric=False, purge_step=purge
    )
    writer = logger.experiment
    if run_id is None:
        from torch.utils.tensorboard.summary import hparams

        metrics = [
            grouped(tracked_name(name, job.recipe.select_on)) for name in ("val_top1_percent", "val_loss")
        ]
        settings = {key: _plain(value) for key, value in flat(job.recipe.to_dict()).items()}
        logger.log_hyperparams(settings)
        for summary in hparams(settings, dict.fromkeys(metrics)):
            writer.file_writer.add_summary(summary)
    logger.save()
    return logger, folder.name


def _wandb(job: TrainingJob, run_id: str | None) -> tuple[Logger, str]:
    known = run_id or uuid4().hex[:8]
    logger = WandbLogger(
        name=job.run.path.name,
        save_dir=job.run.path,
        id=known,
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
    )
    if run_id is None:
        logger.log_hyperparams(job.recipe.to_dict())
    return logger, str(logger.experiment.id)


def _mlflow(job: TrainingJob, run_id: str | None) -> tuple[Logger, str]:
    import mlflow

    logger = MLFlowLogger(
        os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT,
        run_name=job.run.path.name,
        tracking_uri=mlflow.get_tracking_uri(),  # MLFLOW_TRACKING_URI, or where MLflow keeps runs itself
        run_id=run_id,
    )
    if run_id is None:
        logger.log_hyperparams(flat(job.recipe.to_dict()))
    else:
        logger.experiment.update_run(run_id, status="RUNNING")
    return logger, str(logger.run_id)


_OPENERS: Mapping[str, Callable[[TrainingJob, str | None], tuple[Logger, str]]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}


def _steps_done(job: TrainingJob) -> int:
    """Return the optimizer steps in the state that the run is resumed from."""
    if not job.run.resumable.is_file():
        return -1
    state = torch.load(job.run.resumable, map_location="cpu", mmap=True, weights_only=True)
    return int(state["global_step"])


def _plain(value: Any) -> str | int | float | None:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _reason(error: BaseException) -> str:
    """Return the first line of the first cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    return shorten(line, 200, placeholder=" ...")
