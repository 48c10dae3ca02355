"""The learning rate over a run: a linear rise, then a cosine to zero or a straight line."""

import math

import pytest

from lightcars.training.optim.schedule import learning_rate_factor


def test_it_rises_linearly_to_the_peak():
    assert [learning_rate_factor(step, 20, 4, "cosine") for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_cosine_falls_from_the_peak_to_zero():
    factors = [learning_rate_factor(step, 20, 4, "cosine") for step in range(4, 21)]
    assert factors[0] == 1.0
    assert factors[-1] == pytest.approx(0.0, abs=1e-12)
    assert factors == sorted(factors, reverse=True)
    assert factors[8] == pytest.approx(0.5)
    assert factors[4] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_constant_stays_at_the_peak():
    assert {learning_rate_factor(step, 20, 4, "constant") for step in range(4, 25)} == {1.0}


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_without_warmup_it_starts_at_the_peak(schedule):
    assert learning_rate_factor(0, 10, 0, schedule) == 1.0


def test_it_never_rises_again_after_the_end():
    assert learning_rate_factor(35, 20, 4, "cosine") == pytest.approx(0.0, abs=1e-12)


def test_a_run_that_is_all_warmup():
    assert [learning_rate_factor(step, 2, 2, "cosine") for step in range(3)] == [0.5, 1.0, 1.0]
