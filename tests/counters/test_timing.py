"""time_calls, on a clock that only moves when a call is made."""

import pytest
import torch

from lightcars.counters import timing as timed
from lightcars.counters.timing import time_calls, timing

CPU = torch.device("cpu")


class Clock:
    """Seconds that calls take; the last one goes on for ever."""

    def __init__(self, *durations: float) -> None:
        self.now, self.calls, self.durations = 0.0, 0, durations

    def perf_counter(self) -> float:
        return self.now

    def call(self) -> None:
        self.now += self.durations[min(self.calls, len(self.durations) - 1)]
        self.calls += 1


@pytest.fixture
def clock(monkeypatch):
    def start(*durations: float) -> Clock:
        ticking = Clock(*durations)
        monkeypatch.setattr(timed, "time", ticking)
        return ticking

    return start


def test_median_and_percentile():
    found = timing([0.001 * number for number in (*range(1, 20), 1000)])
    assert found.calls == 20
    assert found.median_ms == pytest.approx(10.5)
    assert found.p95_ms == pytest.approx(19.0), "one call of twenty may take longer"
    assert timing([0.003, 0.001, 0.002]).p95_ms == pytest.approx(3.0)


def test_calls_that_warm_up_do_not_count(clock):
    slow_first = clock(5.0, 4.0, 3.0, 0.1)
    found = time_calls(slow_first.call, CPU, seconds=1.0)
    assert found.p95_ms == pytest.approx(100.0)
    assert slow_first.calls == found.calls + 3


def test_quick_calls_warm_up_for_a_while(clock):
    quick = clock(0.01)
    assert time_calls(quick.call, CPU, seconds=1.0).calls == pytest.approx(100, abs=1)
    assert quick.calls == pytest.approx(120, abs=2)


def test_a_percentile_needs_some_calls(clock):
    assert time_calls(clock(0.1).call, CPU, seconds=0.5).calls == 20


def test_slow_calls_are_fewer(clock):
    assert time_calls(clock(1.0).call, CPU, seconds=1.0).calls == 5
    assert time_calls(clock(60.0).call, CPU, seconds=1.0).calls == 3


def test_the_quickest_calls_have_an_end(clock):
    assert time_calls(clock(1e-6).call, CPU, seconds=10.0).calls == timed.MOST_CALLS


def test_every_call_is_waited_for(clock, monkeypatch):
    """The time that a device still works after the call returned is part of it."""
    working = clock(0.1)

    def finish(_device: torch.device) -> None:
        working.now += 0.4

    monkeypatch.setattr(timed, "wait_for", finish)
    assert time_calls(working.call, CPU, seconds=1.0).median_ms == pytest.approx(500.0)
