"""Print a line after each epoch, and show a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, cast, final

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from tqdm import tqdm

from lightcars.runs.folder import Row, best_row
from lightcars.runs.selection import shown_split
from lightcars.training.callbacks.metrics_csv import RunRecorder
from lightcars.training.callbacks.pace import Pace, throughput_line
from lightcars.training.module import ClassifierModule


@final
class EpochLines(L.Callback):
    """Prints run folder and notes on stderr, a line after each epoch, and the throughput at the end.

    `notes` are lines for the beginning; empty ones are left out.
    """

    def __init__(self, recorder: RunRecorder, pace: Pace, notes: Sequence[str] = ()) -> None:
        self.recorder = recorder
        self.pace = pace
        self.notes = notes

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            tqdm.write(f"run folder: {self.recorder.run.path}  (on {pl_module.device})", file=sys.stderr)
            for note in filter(None, self.notes):
                tqdm.write(note, file=sys.stderr)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero and self.recorder.rows:
            select_on = cast(ClassifierModule, pl_module).recipe.select_on
            line = epoch_line(self.recorder.rows, trainer.max_epochs or 0, select_on, str(self.pace.epoch))
            tqdm.write(line, file=sys.stderr)

    def on_train_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.is_global_zero and self.pace.run.images:
            tqdm.write(throughput_line(self.pace.run), file=sys.stderr)


@final
class EpochBar(TQDMProgressBar):
    """A progress bar for the current epoch; validation has none of its own."""

    def init_validation_tqdm(self) -> Tqdm:
        return Tqdm(disable=True)

    def init_train_tqdm(self) -> Tqdm:
        """Return a bar on stderr: stdout may be a file with the result."""
        return Tqdm(
            disable=self.is_disabled,
            leave=True,
            dynamic_ncols=True,
            file=sys.stderr,
            smoothing=0,
            bar_format=self.BAR_FORMAT,
        )

    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Count epochs from 1, as the line after each epoch does."""
        bar = self.train_progress_bar
        bar.reset(total=self.total_train_batches)
        bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return the metrics, those of the validation by the name of their split."""
        split = shown_split(cast(ClassifierModule, pl_module).recipe.select_on)
        metrics = super().get_metrics(trainer, pl_module)
        return {
            f"{split}{name.removeprefix('val')}" if name.startswith("val_") else name: value
            for name, value in metrics.items()
        }


def epoch_line(rows: Sequence[Row], epochs: int, select_on: str = "val", pace: str = "") -> str:
    """Return the metrics of the last epoch in one line for people; `pace` is its throughput."""
    row = rows[-1]
    mark = "  best" if best_row(rows) is row else ""
    return (
        f"epoch {int(row['epoch']):>{len(str(epochs))}}/{epochs}"
        f"  train loss {row['train_loss']:.3f}  top-1 {row['train_top1_percent']:5.1f} %"
        f"  |  {shown_split(select_on)} loss {row['val_loss']:.3f}  top-1 {row['val_top1_percent']:5.1f} %"
        f"  |  {row['seconds']:.0f} s{f', {pace}' if pace else ''}{mark}"
    )
