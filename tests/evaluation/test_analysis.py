"""Analysis: every figure counted by hand on a few predictions."""

import numpy as np
import pytest

from lightcars.evaluation.analysis import (
    agreement,
    classes_by_difficulty,
    confident_mistakes,
    reliability,
    worst_confusions,
)
from lightcars.evaluation.predictions import Predictions

CLASSES = ("Sedan", "Coupe", "Van", "Bus")


def said(*rows: tuple[int, int, float], paths=None) -> Predictions:
    """Images as (true class, first guess, its probability); the second guess is the next class."""
    labels, first, sure = (np.array(column) for column in zip(*rows, strict=True))
    return Predictions(
        classes=CLASSES,
        paths=tuple(paths or (f"val/{i}.png" for i in range(len(rows)))),
        labels=labels,
        guesses=np.stack([first, (first + 1) % len(CLASSES)], axis=1),
        probabilities=np.stack([sure, 1 - sure], axis=1),
    )


SOME = said((0, 0, 0.9), (0, 1, 0.6), (1, 1, 0.8), (2, 0, 0.7), (2, 3, 0.95), (3, 3, 0.55))


def test_top1_and_top5():
    assert SOME.hits.tolist() == [True, False, True, False, False, True]
    assert SOME.top1_percent == 50.0
    assert SOME.top5_percent == 50.0  # of two guesses each
    assert said((1, 0, 0.9), (0, 0, 0.9)).top5_percent == 100.0


def test_classes_by_difficulty():
    ranked = classes_by_difficulty(SOME)
    assert [(one.metrics.name, one.metrics.num_images, one.metrics.top1_percent) for one in ranked] == [
        ("Van", 2, 0.0),
        ("Sedan", 2, 50.0),
        ("Bus", 1, 100.0),
        ("Coupe", 1, 100.0),
    ]
    assert [one.mistakes for one in ranked] == [(4, 3), (1,), (), ()]


def test_confident_mistakes_come_most_confident_first():
    assert confident_mistakes(SOME) == (4, 3, 1)
    assert confident_mistakes(said((0, 0, 0.9))) == ()


def test_confusions_of_the_worst_classes():
    part = worst_confusions(SOME, rows=2)
    assert part.rows == (2, 0)
    assert part.columns == (2, 0, 3, 1)
    assert part.counts.tolist() == [[0, 1, 1, 0], [0, 1, 0, 1]]
    assert part.others.tolist() == [0, 0]
    narrow = worst_confusions(SOME, rows=2, columns=3)
    assert narrow.columns == (2, 0, 3)
    assert narrow.others.tolist() == [0, 1]


def test_each_row_of_the_confusions_adds_up_to_its_class():
    chance = np.random.default_rng(0)
    many = said(*((int(a), int(b), 0.5) for a, b in chance.integers(0, 4, (200, 2))))
    for columns in (2, 3, 4):
        part = worst_confusions(many, rows=2, columns=columns)
        assert len(part.columns) == columns
        totals = [int((many.labels == label).sum()) for label in part.rows]
        assert (part.counts.sum(axis=1) + part.others).tolist() == totals
        for row, label in enumerate(part.rows):
            for column, guess in enumerate(part.columns):
                mine = (many.labels == label) & (many.guesses[:, 0] == guess)
                assert part.counts[row, column] == mine.sum()


def test_reliability_counted_by_hand():
    bins = reliability(said((0, 0, 0.9), (0, 1, 0.9), (0, 0, 0.5), (0, 0, 1.0)), num_bins=10)
    assert bins.counts.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 3]
    assert bins.accuracies[9] == pytest.approx(2 / 3)
    assert bins.confidences[9] == pytest.approx(2.8 / 3)
    assert bins.error == pytest.approx((3 * (2.8 / 3 - 2 / 3) + 1 * 0.5) / 4)


def test_a_model_that_is_as_right_as_it_says_has_no_error():
    rows = [(0, 0 if i < 8 else 1, 0.8) for i in range(10)]
    assert reliability(said(*rows)).error == pytest.approx(0.0, abs=1e-12)
    assert reliability(said(*((0, 1, 1.0) for _ in range(3)))).error == pytest.approx(1.0)


def test_bins_hold_every_image_even_at_the_edges():
    sure = np.concatenate([np.arange(16) / 15, [1e-9]])
    assert reliability(said(*((0, 0, p) for p in sure))).counts.sum() == 17


def random_predictions(number: int, *, certain: float = 0.0) -> Predictions:
    """Over-confident predictions; a share of them with a probability of exactly 1."""
    chance = np.random.default_rng(0)
    sure = np.where(chance.random(number) < certain, 1.0, chance.random(number))
    right = chance.random(number) < sure**2
    return said(*((0, 0 if hit else 1, p) for p, hit in zip(sure.tolist(), right.tolist(), strict=True)))


@pytest.mark.parametrize("certain", [0.0, 0.3])
def test_the_error_is_that_of_the_bins_which_are_shown(certain):
    bins = reliability(random_predictions(1000, certain=certain))
    distances = np.abs(bins.confidences - bins.accuracies)
    assert bins.error == pytest.approx((bins.counts * distances).sum() / 1000, abs=1e-9)


def test_the_error_is_that_of_bins_with_their_upper_edge():
    """Guo et al. give each bin its upper edge, torchmetrics its lower one; it matters at the edges alone."""
    predictions = random_predictions(1000)
    bins = np.ceil(predictions.confidences * 15).astype(int)
    error = sum(
        abs(predictions.confidences[bins == one].sum() - predictions.hits[bins == one].sum())
        for one in range(16)
    )
    assert reliability(predictions).error == pytest.approx(error / 1000, abs=1e-9)


def test_agreement_of_two_runs():
    one = said((0, 0, 0.9), (1, 0, 0.3), (2, 0, 0.6), (3, 3, 0.9))
    other = said((0, 0, 0.9), (1, 2, 0.4), (2, 1, 0.9), (3, 1, 0.9))
    both = agreement([one, other])
    assert both.hits.tolist() == [[True, True], [False, False], [False, False], [True, False]]
    assert both.missed_by_all == (2, 1)  # the surer ones first
    assert both.found_by_one == (1, 0)
    assert both.found_by_all == 1


def test_agreement_does_not_depend_on_the_order_of_the_images():
    one = said((0, 0, 0.9), (1, 0, 0.9), paths=("a", "b"))
    turned = said((1, 1, 0.9), (0, 1, 0.9), paths=("b", "a"))
    assert agreement([one, turned]).hits.tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize(
    "other",
    [
        said((0, 0, 0.9), paths=("a",)),
        said((0, 0, 0.9), (1, 1, 0.9), paths=("a", "c")),
        said((0, 0, 0.9), (2, 2, 0.9), paths=("a", "b")),
    ],
    ids=["fewer", "another", "another class"],
)
def test_other_images_cannot_be_compared(other):
    assert agreement([said((0, 0, 0.9), (1, 0, 0.9), paths=("a", "b")), other]) is None
