"""Analysis of predictions: hard classes, confusions, reliability, agreement of several models.

The results are numbers and positions of images; `reports` renders them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lightcars.evaluation.evaluate import ClassMetrics
from lightcars.evaluation.metrics import calibration_error
from lightcars.evaluation.predictions import Predictions

NUM_BINS = 15


@dataclass(frozen=True, slots=True)
class HardClass:
    """A class with its errors.

    Attributes:
        label: label of the class.
        metrics: its name, number of images and top-1 accuracy.
        mistakes: positions of its misclassified images, the most confident one first.
    """

    label: int
    metrics: ClassMetrics
    mistakes: tuple[int, ...]


def classes_by_difficulty(predictions: Predictions) -> list[HardClass]:
    """Return every class with images, sorted by top-1 accuracy, then by name."""
    hits, found = predictions.hits, []
    for label in np.unique(predictions.labels).tolist():
        members = predictions.labels == label
        metrics = ClassMetrics(
            predictions.classes[label], int(members.sum()), 100.0 * float(hits[members].mean())
        )
        found.append(HardClass(label, metrics, _most_confident_first(predictions, members & ~hits)))
    return sorted(found, key=lambda one: (one.metrics.top1_percent, one.metrics.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """A class in numbers.

    Attributes:
        name: name of the class.
        num_images: its images.
        top1_percent, top5_percent: percentage of its images whose most likely class it is, or one of the
            five most likely ones (recall).
        precision_percent: percentage of the images predicted as this class that are of it; None if there
            are none.
        confused_with: the other class that most of its images are predicted as; None if all are right.
        num_confused: how many are.
    """

    name: str
    num_images: int
    top1_percent: float
    top5_percent: float
    precision_percent: float | None
    confused_with: str | None
    num_confused: int


def class_rows(predictions: Predictions) -> list[ClassRow]:
    """Return a row for every class with images, sorted by top-1 accuracy, then by name."""
    first, rows = predictions.guesses[:, 0], []
    among = (predictions.guesses == predictions.labels[:, None]).any(axis=1)
    for one in classes_by_difficulty(predictions):
        members, predicted = predictions.labels == one.label, first == one.label
        others = Counter(first[list(one.mistakes)].tolist())
        ranked = sorted(others, key=lambda label: (-others[label], predictions.classes[label]))
        rows.append(
            ClassRow(
                name=one.metrics.name,
                num_images=one.metrics.num_images,
                top1_percent=one.metrics.top1_percent,
                top5_percent=100.0 * float(among[members].mean()),
                precision_percent=100.0 * float(members[predicted].mean()) if predicted.any() else None,
                confused_with=predictions.classes[ranked[0]] if ranked else None,
                num_confused=others[ranked[0]] if ranked else 0,
            )
        )
    return rows


def confusion_counts(predictions: Predictions) -> dict[tuple[int, int], int]:
    """Return the cells of the confusion matrix that are not zero: (true label, predicted label) -> images."""
    pairs = zip(predictions.labels.tolist(), predictions.guesses[:, 0].tolist(), strict=True)
    return dict(sorted(Counter(pairs).items()))


def confident_mistakes(predictions: Predictions) -> tuple[int, ...]:
    """Return the positions of all misclassified images, the most confident one first."""
    return _most_confident_first(predictions, ~predictions.hits)


def _most_confident_first(predictions: Predictions, chosen: NDArray[np.bool_]) -> tuple[int, ...]:
    positions = np.flatnonzero(chosen)
    order = np.argsort(-predictions.confidences[positions], kind="stable")
    return tuple(positions[order].tolist())


@dataclass(frozen=True, slots=True)
class Confusion:
    """A part of the confusion matrix.

    Attributes:
        rows: labels of the true classes.
        columns: labels of the predicted classes; the first ones are those of `rows`.
        counts: (rows, columns), numbers of images.
        others: (rows,), numbers of images whose predicted class has no column.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    counts: NDArray[np.int64]
    others: NDArray[np.int64]


def worst_confusions(predictions: Predictions, *, rows: int = 15, columns: int = 25) -> Confusion:
    """Return the confusion matrix of the classes with the lowest top-1 accuracy.

    Args:
        predictions: the predictions of a model.
        rows: how many classes.
        columns: maximum number of predicted classes, those of the rows included.
    """
    worst = tuple(one.label for one in classes_by_difficulty(predictions)[:rows])
    guesses = {label: predictions.guesses[predictions.labels == label, 0] for label in worst}
    elsewhere = Counter(guess for label in worst for guess in guesses[label].tolist() if guess not in worst)
    ranked = sorted(elsewhere, key=lambda label: (-elsewhere[label], predictions.classes[label]))
    shown = (*worst, *ranked[: max(columns - len(worst), 0)])
    counts = np.array([[int((guesses[row] == column).sum()) for column in shown] for row in worst])
    totals = np.array([len(guesses[row]) for row in worst])
    return Confusion(worst, shown, counts, totals - counts.sum(axis=1))


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well the probabilities match the accuracy, in bins of the top class's probability from 0 to 1.

    Attributes:
        counts: images in each bin.
        confidences: mean probability in each bin; 0 in an empty one.
        accuracies: share of correct predictions in each bin; 0 in an empty one.
        error: expected calibration error: mean distance between both, weighted by the counts.
    """

    counts: NDArray[np.int64]
    confidences: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    error: float


def reliability(predictions: Predictions, num_bins: int = NUM_BINS) -> Reliability:
    """Return the bins of a reliability diagram, of equal width, and the expected calibration error.

    torchmetrics computes the error but does not return its bins; these are the same: each has its lower edge,
    the last one also 1.
    """
    confidences, hits = predictions.confidences, predictions.hits
    edges = torch.linspace(0, 1, num_bins + 1, dtype=torch.float64).numpy()
    bins = np.clip(np.digitize(confidences, edges) - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    divisor = np.maximum(counts, 1)
    return Reliability(
        counts=counts,
        confidences=np.bincount(bins, confidences, num_bins) / divisor,
        accuracies=np.bincount(bins, hits, num_bins) / divisor,
        error=calibration_error(confidences, hits, num_bins),
    )


@dataclass(frozen=True, slots=True)
class Agreement:
    """Which images several runs classify correctly. Positions refer to the first run's predictions.

    Attributes:
        hits: (N, runs), whether the most likely class is the true one.
        missed_by_all: positions, sorted by descending mean confidence.
        found_by_one: for each run, how many images it alone classifies correctly.
    """

    hits: NDArray[np.bool_]
    missed_by_all: tuple[int, ...]
    found_by_one: tuple[int, ...]

    @property
    def found_by_all(self) -> int:
        """How many images every run classifies correctly."""
        return int(self.hits.all(axis=1).sum())


def agreement(runs: Sequence[Predictions]) -> Agreement | None:
    """Compare runs image by image; None if their images (path and class) are not the same."""
    first = runs[0]
    wanted = _keys(first)
    hits, confidences = [], []
    for predictions in runs:
        place = {key: position for position, key in enumerate(_keys(predictions))}
        if place.keys() != set(wanted):
            return None
        order = np.array([place[key] for key in wanted])
        hits.append(predictions.hits[order])
        confidences.append(predictions.confidences[order])
    right, certainty = np.stack(hits, axis=1), np.mean(confidences, axis=0)
    missed = np.flatnonzero(~right.any(axis=1))
    missed = missed[np.argsort(-certainty[missed], kind="stable")]
    alone = right[right.sum(axis=1) == 1].sum(axis=0)
    return Agreement(right, tuple(missed.tolist()), tuple(alone.tolist()))


def _keys(predictions: Predictions) -> list[tuple[str, str]]:
    names = (predictions.classes[label] for label in predictions.labels)
    return list(zip(predictions.paths, names, strict=True))
