"""The predictions of a run's best model on the validation images: `predictions.csv`.

One row per image: its path below the data folder, its class, and the five most likely classes with their
probabilities. The report is computed from it. Where the test split selected the epoch, a last column says so.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightcars.data.dataset import DecodedImages, ImageDataset, decode
from lightcars.errors import RunError
from lightcars.evaluation.cells import from_cell, to_cell
from lightcars.evaluation.evaluate import data_for, logits_of, validation_region
from lightcars.files import write_text
from lightcars.runs.folder import RunFolder, selecting_split
from lightcars.runs.selection import note_on
from lightcars.runs.trained import TrainedModel, load_trained

TOP = 5
NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """The K most likely classes of each of N images; K is five, or the number of classes if it is smaller.

    Attributes:
        classes: class names, by label.
        paths: paths of the images, relative to the data folder, with forward slashes.
        labels: (N,) of int64, the true classes.
        guesses: (N, K) of int64, the most likely class first.
        probabilities: (N, K), their probabilities.
        note: "chosen on test: too good" where the images are the test split, and it selected the epoch.
    """

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    guesses: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    note: str | None = None

    @property
    def hits(self) -> NDArray[np.bool_]:
        """(N,): whether the most likely class is the true one."""
        hits: NDArray[np.bool_] = self.guesses[:, 0] == self.labels
        return hits

    @property
    def confidences(self) -> NDArray[np.float64]:
        """(N,): the probability of the most likely class."""
        return self.probabilities[:, 0]

    @property
    def top1_percent(self) -> float:
        """Percentage of images whose true class is the most likely one."""
        return 100.0 * float(self.hits.mean())

    @property
    def top5_percent(self) -> float:
        """Percentage of images whose true class is among the K most likely ones."""
        return 100.0 * float((self.guesses == self.labels[:, None]).any(axis=1).mean())


def predict_images(
    trained: TrainedModel, images: DecodedImages, root: Path, batch_size: int = 64
) -> Predictions:
    """Return the predictions for decoded images; paths are relative to `root`, the data folder."""
    return predictions_from(logits_of(trained, ImageDataset(images), batch_size), trained, images, root)


def predictions_from(logits: Tensor, trained: TrainedModel, images: DecodedImages, root: Path) -> Predictions:
    """Return the same from the model's logits (N, num_classes) for the images."""
    likeliest = trained.probabilities(logits).topk(min(TOP, logits.shape[1]), dim=1)
    return Predictions(
        classes=trained.classes,
        paths=tuple(_below(root, sample.path) for sample in images.samples),
        labels=images.labels,
        guesses=likeliest.indices.numpy(),
        probabilities=likeliest.values.numpy(),
    )


def predict_run(
    run: Path,
    data: str | Path,
    *,
    split: str = "val",
    device: str | torch.device | None = None,
    progress: bool = False,
) -> tuple[Predictions, tuple[str, ...]]:
    """Return the predictions of a run's best model on one split, and a message for each unreadable file.

    Raises:
        CheckpointError: the run has no finished epoch.
        DataError: the data cannot be read, or have other classes than the model.
    """
    trained = load_trained(run, device)
    records = data_for(trained, run, data, split)
    images = decode(
        records.split(split),
        trained.preprocessing,
        region=validation_region(run),
        name=split,
        progress=progress,
    )
    note = note_on(split, selecting_split(run))
    return replace(predict_images(trained, images, records.root), note=note), images.broken


def _below(root: Path, path: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write predictions.csv."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    number = predictions.guesses.shape[1]
    notes = [predictions.note] if predictions.note else []
    writer.writerow(_head(number) + [NOTE] * len(notes))
    names = [to_cell(name) for name in predictions.classes]
    for position, path_below in enumerate(predictions.paths):
        row = [to_cell(path_below), names[predictions.labels[position]]]
        for rank in range(number):
            row.append(names[predictions.guesses[position, rank]])
            row.append(f"{predictions.probabilities[position, rank]:.6g}")
        writer.writerow(row + notes)
    write_text(path, buffer.getvalue())


def _head(number: int) -> list[str]:
    ranks = range(1, number + 1)
    return ["path", "class", *(f"{kind}_{rank}" for rank in ranks for kind in ("guess", "probability"))]


def read_predictions(run: RunFolder, classes: tuple[str, ...]) -> Predictions | None:
    """Read predictions.csv; None if there is none.

    Raises:
        RunError: it is damaged; the message names the row.
    """
    path = run.predictions
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.reader(file))
    except (ValueError, csv.Error) as error:
        raise RunError(f"{path} cannot be read ({error}); remove it and use --data.") from error
    head, rows = table[0] if table else [], table[1:]
    note = rows[0][-1] if rows and head[-1:] == [NOTE] else None
    if note is not None:
        head, rows = head[:-1], [row[:-1] for row in rows]
    number = len(head) // 2 - 1
    if head != _head(number) or number < 1 or not rows:
        raise RunError(f"{path} is not a table of predictions; remove it and use --data.")
    labels, guesses, probabilities = [], [], []
    index = {name: label for label, name in enumerate(classes)}
    for line, row in enumerate(rows, start=2):
        try:
            _, label, *pairs = map(from_cell, row)
            labels.append(index[label])
            guesses.append([index[name] for name in pairs[::2]])
            probabilities.append([_probability(text) for text in pairs[1::2]])
            if len(row) != len(head):
                raise ValueError(f"{len(row)} values, not {len(head)}")  # noqa: TRY301
        except (ValueError, KeyError) as error:
            reason = f"unknown class {error}" if isinstance(error, KeyError) else str(error)
            raise RunError(f"{path}, row {line}: {reason}; remove it and use --data.") from error
    return Predictions(
        classes=classes,
        paths=tuple(from_cell(row[0]) for row in rows),
        labels=np.array(labels, dtype=np.int64),
        guesses=np.array(guesses, dtype=np.int64),
        probabilities=np.array(probabilities, dtype=np.float64),
        note=note,
    )


def _probability(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(f"{text} is not a probability")
    return value
