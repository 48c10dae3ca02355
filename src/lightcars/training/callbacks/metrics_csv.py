"""Write a row of metrics.csv and the checkpoints after each epoch."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast, final

import lightning as L

from lightcars.files import write_text
from lightcars.runs.folder import Row, RunFolder, best_row
from lightcars.runs.selection import note_on_choice
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
