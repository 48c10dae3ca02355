"""Read a run folder for a report."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lightcars.counters.flops import count_flops
from lightcars.counters.params import count_params
from lightcars.errors import DataError, LightcarsError, RunError
from lightcars.evaluation.analysis import reliability
from lightcars.evaluation.predictions import Predictions, predict_run, read_predictions, write_predictions
from lightcars.models.build import build_skeleton
from lightcars.models.validation import MAX_INT
from lightcars.runs.description import RunDescription
from lightcars.runs.folder import Row, RunFolder, best_row
from lightcars.runs.selection import note_on_choice
from lightcars.weights.checkpoint import read_card

CURVES = (
    "epoch",
    "train_loss",
    "val_loss",
    "train_top1_percent",
    "val_top1_percent",
    "val_top5_percent",
    "learning_rate",
)
"""Columns of metrics.csv that a report needs."""
SECONDS = "seconds"
"""A further column; without it, the time of a run is not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetrics:
    """The key metrics of a run; None where they are unknown.

    Attributes:
        run: the run folder.
        model: name of the model.
        finished: whether the run is finished.
        selected_on: the split that selected the epoch; the metrics called val are of this split.
        note: "chosen on test: too good" where it is the test split.
        num_params, flops: parameters and FLOPs of the model, for one image at the run's resolution.
        num_classes: number of classes of the data.
        epochs: number of finished epochs.
        best_epoch: the epoch of the other metrics.
        val_top1_percent, val_top5_percent, val_loss: as in metrics.json; the loss has label smoothing.
        num_images: number of validation images with a prediction.
        calibration_error_percent: expected calibration error (ECE).
    """

    run: str
    model: str
    finished: bool
    num_params: int
    flops: int
    num_classes: int
    epochs: int
    selected_on: str = "val"
    note: str | None = None
    best_epoch: int | None = None
    val_top1_percent: float | None = None
    val_top5_percent: float | None = None
    val_loss: float | None = None
    num_images: int | None = None
    calibration_error_percent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A comparison of several runs on the same validation images.

    Attributes:
        num_images: number of validation images.
        right_in_every_run, wrong_in_every_run: how many of them every run gets right, or wrong.
        right_in_one_run_only: for each run, how many it alone gets right.
    """

    num_images: int
    right_in_every_run: int
    wrong_in_every_run: int
    right_in_one_run_only: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContent:
    """The content of one run that a report shows.

    Attributes:
        label: distinguishes the run from the others.
        description: content of run.json.
        rows: rows of metrics.csv.
        metrics: the key metrics.
        predictions: predictions of the best model on the validation images, if available.
        image_root: the data folder, if available.
        notes: notes about missing or differing parts.
    """

    label: str
    description: RunDescription
    rows: tuple[Row, ...]
    metrics: RunMetrics
    predictions: Predictions | None
    image_root: Path | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Data and device for what the run folder lacks.

    Attributes:
        data: the data folder; None: the data folder of the run.
        device: device for predictions that have to be computed.
        progress: show a progress bar.
    """

    data: Path | None = None
    device: str | torch.device | None = None
    progress: bool = False


def read_run(path: Path, label: str, source: Source) -> RunContent:
    """Read a run folder, finished or not.

    Raises:
        RunError, CheckpointError: the folder is not a run, or a file in it is damaged.
        DataError: `source.data` is not a folder, or has other classes than the model.
    """
    run = RunFolder(path)
    description = run.read()
    rows = _rows(run.table)
    finished = run.summary.is_file()
    notes = [] if finished else [_unfinished(rows, description)]
    if description.recipe.select_on == "test":
        notes.append(
            "The test split selected the epoch, as in the theses: what is called val here is that split,"
            " and its accuracy is optimistically biased."
        )
    predictions, found = _predictions(run, source, finished=finished, rows=rows)
    if predictions is not None:  # older tables do not say it
        chosen = description.recipe.select_on
        predictions = replace(predictions, note=note_on_choice(chosen))
    image_root, gone = _image_root(description, source)
    metrics = _run_metrics(run, description, rows, predictions)
    notes += found + (gone if predictions is not None else []) + _disagreement(metrics, predictions)
    return RunContent(
        label=label,
        description=description,
        rows=rows,
        metrics=metrics,
        predictions=predictions,
        image_root=image_root,
        notes=tuple(notes),
    )


def _rows(path: Path) -> tuple[Row, ...]:
    if not path.is_file():
        return ()
    rows: list[Row] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line, row in enumerate(csv.DictReader(file), start=2):
                names = (*CURVES, SECONDS) if SECONDS in row else CURVES
                try:
                    rows.append({name: float(row[name]) for name in names})
                except (KeyError, TypeError, ValueError) as error:
                    reason = f"no column {error}" if isinstance(error, KeyError) else "not a number"
                    raise _foreign_row(path, line, reason) from error
                if not 1 <= rows[-1]["epoch"] <= MAX_INT:  # NaN too
                    raise _foreign_row(path, line, "not an epoch")
    except (csv.Error, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read ({error}).") from error
    return tuple(rows)


def _foreign_row(path: Path, line: int, reason: str) -> RunError:
    return RunError(f"{path}, row {line}: {reason}; it is not what the run wrote.")


def _unfinished(rows: tuple[Row, ...], description: RunDescription) -> str:
    epochs = description.recipe.epochs
    return f"The run is not finished: {len(rows)} of at most {epochs} epochs are done, and shown here."


def _predictions(
    run: RunFolder, source: Source, *, finished: bool, rows: tuple[Row, ...]
) -> tuple[Predictions | None, list[str]]:
    stored = None
    if finished:  # those of a resumed run are of an older model
        stored = read_predictions(run, read_card(run.best).classes or ())
    if stored is not None:
        return stored, []
    if source.data is None or not rows:
        hint = f"; with --data, `lightcars report {run.path}` computes them" if rows else ""
        return None, [f"There are no predictions of the best model yet{hint}."]
    predictions, broken = predict_run(
        run.path,
        source.data,
        split=run.read().recipe.select_on,
        device=source.device,
        progress=source.progress,
    )
    if finished:
        write_predictions(predictions, run.predictions)
    return predictions, [f"Left out: {problem}" for problem in broken]


def _image_root(description: RunDescription, source: Source) -> tuple[Path | None, list[str]]:
    if source.data is not None:
        if not source.data.is_dir():
            raise DataError(f"there is no folder {source.data}.")
        return source.data, []
    root = description.data.root
    if root.is_dir():
        return root, []
    return None, [
        f"The images are no longer in {root}, so only their names are shown; --data gives their new folder."
    ]


def _run_metrics(
    run: RunFolder, description: RunDescription, rows: tuple[Row, ...], predictions: Predictions | None
) -> RunMetrics:
    num_params, flops = _costs(run, description)
    chosen = description.recipe.select_on
    analysis: dict[str, Any] = {}
    if predictions is not None:
        analysis["num_images"] = len(predictions.labels)
        analysis["calibration_error_percent"] = 100.0 * reliability(predictions).error
    return RunMetrics(
        run=str(run.path),
        model=description.model.name,
        finished=run.summary.is_file(),
        selected_on=chosen,
        note=note_on_choice(chosen),
        num_params=num_params,
        flops=flops,
        num_classes=description.data.num_classes,
        **_best(run, rows),
        **analysis,
    )


def _costs(run: RunFolder, description: RunDescription) -> tuple[int, int]:
    try:
        config = description.model.config
        resolution = description.recipe.resolution or config.resolution
        if run.best.is_dir():
            preprocessing = read_card(run.best).preprocessing
            resolution = preprocessing.resolution if preprocessing else resolution
        model = build_skeleton(config)
        return count_params(model), count_flops(model, resolution)
    except (LightcarsError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.description}: the model cannot be rebuilt ({error}).") from error


def _best(run: RunFolder, rows: tuple[Row, ...]) -> dict[str, Any]:
    names = ("val_top1_percent", "val_top5_percent", "val_loss")
    if run.summary.is_file():
        try:
            summary = json.loads(run.summary.read_text(encoding="utf-8"))
            counts = {name: int(summary[name]) for name in ("epochs", "best_epoch")}
            return {**counts, **{name: float(summary[name]) for name in names}}
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise RunError(f"{run.summary} cannot be read ({error}).") from error
        except KeyError as error:
            raise RunError(f"{run.summary} has no {error}; it is not what the run wrote.") from error
    if not rows:
        return {"epochs": 0}
    best = best_row(rows)
    return {"epochs": len(rows), "best_epoch": int(best["epoch"]), **{name: best[name] for name in names}}


def _disagreement(metrics: RunMetrics, predictions: Predictions | None) -> list[str]:
    """Predictions are computed in float32, and `source.data` may have other images than the run."""
    if predictions is None or metrics.val_top1_percent is None:
        return []
    if abs(predictions.top1_percent - metrics.val_top1_percent) < 0.05:
        return []
    return [
        f"The predictions shown here have {predictions.top1_percent:.2f} % top-1, where the run counted"
        f" {metrics.val_top1_percent:.2f} %: they are for other images, or computed in another precision."
    ]
