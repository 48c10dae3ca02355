"""Rounds in which all sides take turns, so that noise of the machine falls on all of them.

Machines are noisy and their neighbors are busy, so no benchmark compares one side's time with another
side's time from another minute: the sides take turns within a round, a round gives one ratio per peer, and
a ratio is quoted with the minimum and the maximum over its rounds. A ratio is always peer / lightcars:
above 1 means that lightcars is faster, or takes less memory. This module imports no torch, so that the
driving process stays small: a process that it starts would inherit its peak of memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from statistics import median
from typing import Any

from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.ratios import Rounds
from benchmarks.harness.workers import serve, workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The call that one worker times, and the other questions that it answers.

    Attributes:
        call: the function that is timed.
        answers: further questions, and the functions that answer them.
        warm_up_calls: calls before the first turn.
        turn_s: length of a turn in seconds; a turn has at least one call.
    """

    call: Callable[[], object]
    answers: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    warm_up_calls: int = 3
    turn_s: float = 0.2

    def answer(self, question: str) -> Any:
        """Answer "warm up" in seconds, "turn" in milliseconds per call, and unknown questions by None."""
        if question == "warm up":
            return median(seconds(self.call) for _ in range(self.warm_up_calls))
        if question == "turn":
            return turn_ms(self.call, self.turn_s)
        return self.answers[question]() if question in self.answers else None


def serve_side(open_side: Callable[[Any], Side], task: Any) -> None:
    """Answer `timed_rounds`. The side is opened at the first question, so that no two open at once."""
    side = cache(partial(open_side, task))
    serve(lambda question: side().answer(question))


def turn_ms(call: Callable[[], object], turn_s: float) -> float:
    """Return the median milliseconds of the calls that start within the turn."""
    until = time.perf_counter() + turn_s
    times = [seconds(call)]
    while time.perf_counter() < until:
        times.append(seconds(call))
    return 1000 * median(times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Number of rounds, and of turns of each side in a round."""

    rounds: int
    turns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Milliseconds of each side's turns, round by round, and its answers by question."""

    ms: dict[str, Rounds]
    answers: dict[str, dict[str, list[Any]]]


def timed_rounds(
    module: str,
    tasks: Mapping[str, Mapping[str, Any]],
    plan: Plan,
    neighbors: Neighbors,
    *,
    questions: Sequence[str] = (),
    before_round: Callable[[], object] = lambda: None,
) -> Measurements:
    """Time all sides: in every round each has a fresh process; all warm up, take turns, answer questions.

    While one side works, the others wait for their next question. The order of the sides rotates.
    """
    sides = list(tasks)
    measured = Measurements(
        ms={side: [] for side in sides},
        answers={question: {side: [] for side in sides} for question in questions},
    )
    for _ in range(plan.rounds):
        before_round()
        with workers(module, tasks) as started:
            for side in sides:
                started[side].ask("warm up")
                measured.ms[side].append([])
            for turn in range(plan.turns):
                for side in rotated(sides, turn):
                    ask = partial(started[side].ask, "turn")
                    measured.ms[side][-1].append(neighbors.undisturbed(ask, [started[side].pid]))
            for question in questions:
                for side in sides:
                    measured.answers[question][side].append(started[side].ask(question))
    return measured


def rotated(sides: Sequence[str], turn: int) -> list[str]:
    """Return the sides in another order each turn, so that none is always first."""
    shift = turn % len(sides)
    return [*sides[shift:], *sides[:shift]]


def seconds(call: Callable[[], object]) -> float:
    """Return the wall-clock time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
