"""What a run folder says, read for a report."""

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
from lightcars.evaluation.analysis import calibration
from lightcars.evaluation.predictions import Predictions, judge_run, read_predictions, write_predictions
from lightcars.models.build import build_skeleton
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetrics:
    """The key figures of a run; None where it does not tell.

    Attributes:
        run: the run folder.
        model: its name.
        finished: whether the run came to its end.
        selected_on: the split that chose the epoch, and that the figures called val are of.
        note: "chosen on test: too good" where it is the test split.
        num_params, flops: of the model, for one image of the run's resolution.
        epochs: done.
        best_epoch: the one that the other figures are of.
        val_top1_percent, val_top5_percent, val_loss: as in metrics.json; the loss has label smoothing.
        num_images: validation photographs that the predictions are of.
        calibration_error_percent: expected calibration error.
    """

    run: str
    model: str
    finished: bool
    num_params: int
    flops: int
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
    """What several runs do with the same validation photographs.

    Attributes:
        num_images: how many they are.
        right_in_every_run, wrong_in_every_run: of them.
        right_in_one_run_only: for each run.
    """

    num_images: int
    right_in_every_run: int
    wrong_in_every_run: int
    right_in_one_run_only: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContent:
    """All that a report shows of one run.

    Attributes:
        label: what tells the run from the others.
        description: what run.json says.
        rows: of metrics.csv.
        figures: in short.
        predictions: of the best model on the validation photographs, if there are any.
        photographs: the data folder, if it is there.
        notes: what the reader has to know about gaps.
    """

    label: str
    description: RunDescription
    rows: tuple[Row, ...]
    figures: RunMetrics
    predictions: Predictions | None
    photographs: Path | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where to look besides the run folder.

    Attributes:
        data: the folder with the photographs; None takes the one that the run was made from.
        device: for predictions that have to be computed.
        progress: show a bar meanwhile.
    """

    data: Path | None = None
    device: str | torch.device | None = None
    progress: bool = False


def read_run(path: Path, label: str, source: Source) -> RunContent:
    """Reads a run folder, finished or not.

    Raises:
        RunError, CheckpointError: no run, or a damaged file in it.
        DataError: `source.data` is no folder, or has other classes.
    """
    run = RunFolder(path)
    description = run.read()
    rows = _rows(run.table)
    finished = run.summary.is_file()
    notes = [] if finished else [_unfinished(rows, description)]
    if description.recipe.select_on == "test":
        notes.append(
            "The test split chose the epoch, as in the theses: what is called val here is that split,"
            " and its accuracies are too good."
        )
    predictions, found = _predictions(run, source, finished=finished, rows=rows)
    if predictions is not None:  # older tables do not say it
        chosen = description.recipe.select_on
        predictions = replace(predictions, note=note_on_choice(chosen))
    photographs, gone = _photographs(description, source)
    figures = _figures(run, description, rows, predictions)
    notes += found + (gone if predictions is not None else []) + _disagreement(figures, predictions)
    return RunContent(
        label=label,
        description=description,
        rows=rows,
        figures=figures,
        predictions=predictions,
        photographs=photographs,
        notes=tuple(notes),
    )


def _rows(path: Path) -> tuple[Row, ...]:
    if not path.is_file():
        return ()
    rows: list[Row] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line, row in enumerate(csv.DictReader(file), start=2):
                try:
                    rows.append({name: float(row[name]) for name in CURVES})
                except (KeyError, TypeError, ValueError) as error:
                    reason = f"no column {error}" if isinstance(error, KeyError) else "not a number"
                    raise RunError(f"{path}, row {line}: {reason}; it is not as the run wrote it.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read ({error}).") from error
    return tuple(rows)


def _unfinished(rows: tuple[Row, ...], description: RunDescription) -> str:
    epochs = description.recipe.epochs
    return f"The run is not finished: {len(rows)} of at most {epochs} epochs are done, and shown here."


def _predictions(
    run: RunFolder, source: Source, *, finished: bool, rows: tuple[Row, ...]
) -> tuple[Predictions | None, list[str]]:
    stored = None
    if finished:  # those of a run that went on since are of an older model
        stored = read_predictions(run, read_card(run.best).classes or ())
    if stored is not None:
        return stored, []
    if source.data is None or not rows:
        hint = f"; with --data, `lightcars report {run.path}` computes them" if rows else ""
        return None, [f"There are no predictions of the best model yet{hint}."]
    predictions, broken = judge_run(
        run.path,
        source.data,
        split=run.read().recipe.select_on,
        device=source.device,
        progress=source.progress,
    )
    if finished:
        write_predictions(predictions, run.predictions)
    return predictions, [f"Left out: {problem}" for problem in broken]


def _photographs(description: RunDescription, source: Source) -> tuple[Path | None, list[str]]:
    if source.data is not None:
        if not source.data.is_dir():
            raise DataError(f"there is no folder {source.data}.")
        return source.data, []
    root = description.data.root
    if root.is_dir():
        return root, []
    return None, [f"The photographs are not in {root} any more, so only their names are shown (--data)."]


def _figures(
    run: RunFolder, description: RunDescription, rows: tuple[Row, ...], predictions: Predictions | None
) -> RunMetrics:
    num_params, flops = _costs(run, description)
    chosen = description.recipe.select_on
    judged: dict[str, Any] = {}
    if predictions is not None:
        judged["num_images"] = len(predictions.labels)
        judged["calibration_error_percent"] = 100.0 * calibration(predictions).error
    return RunMetrics(
        run=str(run.path),
        model=description.model.name,
        finished=run.summary.is_file(),
        selected_on=chosen,
        note=note_on_choice(chosen),
        num_params=num_params,
        flops=flops,
        **_best(run, rows),
        **judged,
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
            metrics = json.loads(run.summary.read_text(encoding="utf-8"))
            counts = {name: int(metrics[name]) for name in ("epochs", "best_epoch")}
            return {**counts, **{name: float(metrics[name]) for name in names}}
        except (ValueError, TypeError) as error:
            raise RunError(f"{run.summary} cannot be read ({error}).") from error
        except KeyError as error:
            raise RunError(f"{run.summary} has no {error}; it is not as the run wrote it.") from error
    if not rows:
        return {"epochs": 0}
    best = best_row(rows)
    return {"epochs": len(rows), "best_epoch": int(best["epoch"]), **{name: best[name] for name in names}}


def _disagreement(figures: RunMetrics, predictions: Predictions | None) -> list[str]:
    """Predictions are in 32-bit floats and may be of other photographs than those of the run."""
    if predictions is None or figures.val_top1_percent is None:
        return []
    if abs(predictions.top1_percent - figures.val_top1_percent) < 0.05:
        return []
    return [
        f"The predictions analyzed here have {predictions.top1_percent:.2f} % top-1, where the run counted"
        f" {figures.val_top1_percent:.2f} %: they are of other photographs, or computed in another precision."
    ]
