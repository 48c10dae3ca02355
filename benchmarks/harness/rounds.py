"""What the benchmarks share: options, workers, and rounds in which all sides take turns.

Machines are noisy and their neighbours are busy, so no benchmark quotes one side's time against another
side's time from another minute: the sides take turns within a round, a round gives one ratio per peer, and
a ratio is quoted with the least and the greatest of its rounds. A ratio is always peer / lightcars: above 1
means that lightcars is faster, or takes less memory. No torch here, so that the driving process stays small:
a process that it starts would inherit its peak of memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

from neighbours import Neighbours
from ratios import Rounds


def parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=rounds, help=f"rounds of all sides (default {rounds})")
    made.add_argument("--quick", action="store_true", help="one short round: does it run at all?")
    made.add_argument(
        "--out", type=Path, help="JSON file (default results/NAME.json here; with --quick none)"
    )
    made.add_argument(
        "--patience",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="time spent in all on repeating what other processes disturbed (default 120)",
    )
    made.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    return made


def driver_arguments(
    options: argparse.ArgumentParser, serve_task: Callable[[Any], None]
) -> argparse.Namespace:
    """What the driving process was given; a worker serves its task in place of that, and ends here.

    `--quick` is one round, and no patience.
    """
    given = options.parse_args()
    if given.worker is not None:
        serve_task(given.worker)
        raise SystemExit
    if given.quick:
        given.rounds, given.patience = 1, 0.0
    return given


class Worker:
    """A fresh process that runs this benchmark's file with `--worker task` and answers by JSON lines."""

    def __init__(self, script: str, task: Mapping[str, Any]) -> None:
        self._task = task
        self._process = subprocess.Popen(
            [sys.executable, script, "--worker", json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: str) -> Any:
        """The worker's answer; the other workers wait meanwhile."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the worker for {dict(self._task)} ended early; see its error above.")
        return json.loads(line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._process.communicate()


def ask_fresh(script: str, task: Mapping[str, Any]) -> Any:
    """The answer of a process that does this one task."""
    worker = Worker(script, task)
    try:
        return worker.ask("go")
    finally:
        worker.close()


@contextlib.contextmanager
def workers(script: str, tasks: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Worker]]:
    """One worker for each side, all ended afterwards."""
    started: dict[str, Worker] = {}
    try:
        for side, task in tasks.items():
            started[side] = Worker(script, task)
        yield started
    finally:
        for worker in started.values():
            worker.close()


def serve(answer: Callable[[str], Any]) -> None:
    """The other end of `Worker.ask`: answers until the driver hangs up."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what engines and compilers print is no answer
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), file=answers, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one worker times, and what else it can be asked.

    Attributes:
        call: what is timed.
        answers: further questions and who answers them.
        warm_up_calls: before the first turn.
        turn_s: how long a turn lasts; at least one call.
    """

    call: Callable[[], object]
    answers: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    warm_up_calls: int = 3
    turn_s: float = 0.2

    def answer(self, question: str) -> Any:
        """To "warm up" seconds, to "turn" milliseconds of a call; None to what this side does not know."""
        if question == "warm up":
            return median(seconds(self.call) for _ in range(self.warm_up_calls))
        if question == "turn":
            return turn_ms(self.call, self.turn_s)
        return self.answers[question]() if question in self.answers else None


def serve_side(open_side: Callable[[Any], Side], task: Any) -> None:
    """Answers `timed_rounds`. The side is opened at the first question, so that no two open at once."""
    side = cache(partial(open_side, task))
    serve(lambda question: side().answer(question))


def turn_ms(call: Callable[[], object], turn_s: float) -> float:
    """Milliseconds of a call: the median of as many as begin within the turn."""
    until = time.perf_counter() + turn_s
    times = [seconds(call)]
    while time.perf_counter() < until:
        times.append(seconds(call))
    return 1000 * median(times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How often: rounds, and turns of each side in a round."""

    rounds: int
    turns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of every side, round by round: milliseconds of its turns, and its answers by question."""

    ms: dict[str, Rounds]
    answers: dict[str, dict[str, list[Any]]]


def timed_rounds(
    script: str,
    tasks: Mapping[str, Mapping[str, Any]],
    plan: Plan,
    neighbours: Neighbours,
    *,
    questions: Sequence[str] = (),
    before_round: Callable[[], object] = lambda: None,
) -> Found:
    """In every round each side has a fresh process; all warm up, then take turns; then they are asked.

    While one side works, the others wait for their next question. The order of the sides rotates.
    """
    sides = list(tasks)
    found = Found(
        ms={side: [] for side in sides},
        answers={question: {side: [] for side in sides} for question in questions},
    )
    for _ in range(plan.rounds):
        before_round()
        with workers(script, tasks) as started:
            for side in sides:
                started[side].ask("warm up")
                found.ms[side].append([])
            for turn in range(plan.turns):
                for side in rotated(sides, turn):
                    ask = partial(started[side].ask, "turn")
                    found.ms[side][-1].append(neighbours.undisturbed(ask, [started[side].pid]))
            for question in questions:
                for side in sides:
                    found.answers[question][side].append(started[side].ask(question))
    return found


def rotated(sides: Sequence[str], turn: int) -> list[str]:
    """The sides in another order each turn, so that none is always first."""
    shift = turn % len(sides)
    return [*sides[shift:], *sides[:shift]]


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def mark_memory() -> int:
    """Starts a measurement of memory: the resident bytes from which `growth_mib` counts."""
    with contextlib.suppress(
        OSError
    ):  # Linux forgets the peak so far; elsewhere an earlier one may hide growth
        Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes()


def growth_mib(mark: int) -> float:
    """Most memory that was resident at once since the mark, less what was resident at the mark."""
    return (_peak_bytes() - mark) / 2**20


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
