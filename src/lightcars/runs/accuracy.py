"""The accuracy that a run has recorded for its model."""

from __future__ import annotations

import json
from pathlib import Path

from lightcars.benching.rows import Accuracy
from lightcars.errors import RunError
from lightcars.recipes.sections import require_not_negative
from lightcars.runs.folder import RunFolder
from lightcars.runs.selection import shown_split
from lightcars.weights.checkpoint import read_card


def recorded_accuracy(model: str | Path) -> Accuracy | None:
    """Return the accuracy of a finished run's best model; None if it is not known.

    Args:
        model: a run folder, or the folder `best` in one.

    Raises:
        RunError: a damaged file in the run folder.
    """
    path = Path(model).resolve()
    run = RunFolder(path)
    if path == RunFolder(path.parent).best:
        run = RunFolder(path.parent)
    if not run.description.is_file() or not run.summary.is_file():
        return None
    description = run.read()
    preprocessing = read_card(run.best).preprocessing
    try:
        top1_percent = float(json.loads(run.summary.read_text(encoding="utf-8"))["val_top1_percent"])
        require_not_negative("val_top1_percent", top1_percent)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{run.summary} cannot be read ({error!r}).") from error
    if preprocessing is None:
        return None
    data = f"{shown_split(description.recipe.select_on)} of {description.data.root.name}"
    return Accuracy(top1_percent=top1_percent, data=data, resolution=preprocessing.resolution)
