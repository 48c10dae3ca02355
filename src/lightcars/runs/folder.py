"""The run folder: what is in it, and how it is claimed, read and resumed.

run.json            model, recipe, data, versions: everything needed to repeat the run
metrics.csv         one row per epoch; with a note if the test split selected the best one
metrics.json        the metrics of the best epoch
curves.png          loss, accuracy and learning rate
augmented.jpg       training images of the first batch, as the model sees them
predictions.csv     the best model's predictions for the validation images
report.html         a page about the run
best/  last/        checkpoints for `lightcars.load` (best on the validation split; after the last epoch)
checkpoints/        Lightning's state, for resuming
tensorboard/        event files, unless that tracker was left out
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from lightcars.errors import ConfigError, RunError
from lightcars.recipes.recipe import Recipe
from lightcars.runs.description import RunDescription, read_description, write_description
from lightcars.runs.lock import LOCK_FILE, RunLock
from lightcars.runs.places import RUN_FILE
from lightcars.weights.hub import BEST

Row: TypeAlias = dict[str, float]
"""The metrics of one epoch, as in metrics.csv."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths inside one run folder."""

    path: Path

    @property
    def description(self) -> Path:
        """run.json."""
        return self.path / RUN_FILE

    @property
    def table(self) -> Path:
        """metrics.csv."""
        return self.path / "metrics.csv"

    @property
    def summary(self) -> Path:
        """metrics.json."""
        return self.path / "metrics.json"

    @property
    def curves(self) -> Path:
        """curves.png."""
        return self.path / "curves.png"

    @property
    def augmented(self) -> Path:
        """augmented.jpg."""
        return self.path / "augmented.jpg"

    @property
    def predictions(self) -> Path:
        """predictions.csv."""
        return self.path / "predictions.csv"

    @property
    def report(self) -> Path:
        """report.html."""
        return self.path / "report.html"

    @property
    def best(self) -> Path:
        """Checkpoint of the best epoch."""
        return self.path / BEST

    @property
    def last(self) -> Path:
        """Checkpoint after the last epoch."""
        return self.path / "last"

    @property
    def initial(self) -> Path:
        """Checkpoint of the weights that the run starts from, with the list of its images; until it ends."""
        return self.path / "initial"

    @property
    def checkpoints(self) -> Path:
        """Folder of Lightning's checkpoints."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def resumable(self) -> Path:
        """Lightning's checkpoint after the last whole epoch."""
        return self.checkpoints / "last.ckpt"

    @property
    def previous(self) -> Path:
        """Lightning's checkpoint of the epoch before, until the run is finished."""
        return self.checkpoints / "previous.ckpt"

    def read(self) -> RunDescription:
        """Read run.json.

        Raises:
            RunError: there is no run, or the file is damaged.
        """
        if not self.description.is_file():
            raise RunError(f"{self.path} holds no run (no {self.description.name}).")
        return read_description(self.description)

    def write(self, description: RunDescription) -> None:
        """Write run.json."""
        write_description(self.description, description)


def selecting_split(model: Path) -> str | None:
    """Return the split that selected the epoch of a run, or of a checkpoint in one; None for other models."""
    path = model.resolve()
    run = RunFolder(path)
    if not run.description.is_file() and path in (RunFolder(path.parent).best, RunFolder(path.parent).last):
        run = RunFolder(path.parent)
    return run.read().recipe.select_on if run.description.is_file() else None


def best_row(rows: Sequence[Row]) -> Row:
    """Return the epoch with the highest validation top-1; of equal ones, that with the lower loss."""
    return max(rows, key=lambda row: (row["val_top1_percent"], -row["val_loss"]))


def check_free(path: Path) -> None:
    """Raise a RunError if something is in the folder already."""
    if RunFolder(path).description.exists():
        raise RunError(f"{path} already holds a run; give another folder, or resume it (--resume).")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} is not an empty folder; give another one for the run.")


def claim(path: Path) -> RunFolder:
    """Create a new run folder; a RunError if something is in it."""
    check_free(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the run folder {path}: {error.strerror}.") from error
    return RunFolder(path)


def remove_unbegun(path: Path) -> None:
    """Remove a run folder of a process that was killed before it wrote `run.json`.

    Anything else in the folder keeps it.

    Raises:
        RunError: another process has locked it.
    """
    run = RunFolder(path)
    left = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    known = (run.initial.name, LOCK_FILE)
    if left and all(name in known or (name[0] == "." and name.endswith(".part")) for name in left):
        with RunLock() as lock:
            lock.acquire(path)
            shutil.rmtree(path)


def reopen(path: Path, recipe: Recipe | None) -> tuple[RunFolder, RunDescription]:
    """Return a run to be resumed, with its description; a recipe other than its own is an error.

    The number of workers may change, as it has no influence on the result. What `recipe` leaves open
    ("auto", "fastest") is what the run has.
    """
    run = RunFolder(path)
    description = run.read()
    stored = description.recipe
    asked = stored if recipe is None else replace(recipe.settled_by(stored), workers=stored.workers)
    changed = stored.differences(asked)
    if changed:
        raise ConfigError(
            f"{path} was started with another recipe ({', '.join(changed)}); resume with the original recipe."
        )
    return run, description
