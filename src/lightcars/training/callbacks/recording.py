"""Write a run's files after each epoch, and show its progress."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast, final

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from tqdm import tqdm

from lightcars.files import write_text
from lightcars.runs.folder import Row, RunFolder, best_row
from lightcars.runs.selection import note_on_choice, shown_split
from lightcars.training.callbacks.pace import Pace, throughput_line
from lightcars.weights.checkpoint import save

if TYPE_CHECKING:
    from lightcars.training.module import ClassifierModule

COLUMNS = (
    "epoch",
    "train_loss",
    "train_top1_percent",
    "val_loss",
    "val_top1_percent",
    "val_top5_percent",
    "learning_rate",
    "seconds",
)


@final
class RunRecorder(L.Callback):
    """Writes a row of metrics.csv, the checkpoint `last`, and `best` if it is, after each epoch.

    The rows are part of Lightning's checkpoint, so a resumed run continues the table where it stopped.
    """

    def __init__(self, run: RunFolder, classes: tuple[str, ...]) -> None:
        self.run = run
        self.classes = classes
        self.rows: list[Row] = []
        self._started = 0.0
        self._rate = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]

    def on_train_epoch_start(self, *_: Any) -> None:
        self._started = time.monotonic()

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Note the rate of this step; at the end of an epoch it may already be the next one's."""
        self._rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        module = cast("ClassifierModule", pl_module)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        own = {
            "epoch": trainer.current_epoch + 1,
            "learning_rate": self._rate,
            "seconds": time.monotonic() - self._started,
        }
        row = {name: (own | metrics)[name] for name in COLUMNS}
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
        write_text(self.run.table, table_text(self.rows, module.recipe.select_on))
        about: dict[str, Any] = {"classes": self.classes, "preprocessing": module.preprocessing}
        save(module.kept, self.run.last, **about)
        if best_row(self.rows) is row:
            save(module.kept, self.run.best, **about)


def table_text(rows: Sequence[Row], select_on: str = "val") -> str:
    """Return the rows as CSV, with a last column for the note if the test split selects the epoch."""
    note = note_on_choice(select_on)
    extra = {"note": note} if note else {}
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*COLUMNS, *extra], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _rounded(name, row[name]) for name in COLUMNS} | extra for row in rows)
    return buffer.getvalue()


def _rounded(name: str, value: float) -> str:
    return str(int(value)) if name == "epoch" else f"{value:.6g}"


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
            select_on = cast("ClassifierModule", pl_module).recipe.select_on
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

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return the metrics, those of the validation by the name of their split."""
        split = shown_split(cast("ClassifierModule", pl_module).recipe.select_on)
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
