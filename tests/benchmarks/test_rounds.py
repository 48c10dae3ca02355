"""Workers, turns and rounds."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.rounds import Plan, Side, rotated, timed_rounds, turn_ms

SCRIPT = """
import json, os, sys
from functools import partial
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.rounds import Side, serve_side

def open_side(task):
    log = open(task["log"], "a", buffering=1)
    print(task["side"], "open", file=log)
    print("output of an engine")
    os.system("echo output from outside Python")
    call = lambda: print(task["side"], file=log)
    return Side(call=call, answers={"pid": os.getpid} if task["answers"] else {}, warm_up_calls=1, turn_s=0)

if __name__ == "__main__":
    driver_arguments(parser(None, rounds=1), partial(serve_side, open_side))
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A benchmark that workers can run as `python -m script`."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    return file


def run(script: Path, rounds: int, turns: int):
    log = script.parent / "log"
    tasks = {side: {"side": side, "log": str(log), "answers": side == "a"} for side in ("a", "b")}
    befores = []
    found = timed_rounds(
        script.stem,
        tasks,
        Plan(rounds=rounds, turns=turns),
        Neighbors(0),
        questions=["pid"],
        before_round=lambda: befores.append(log.read_text() if log.exists() else ""),
    )
    return found, log.read_text().splitlines(), befores


def test_sides_take_turns_in_fresh_processes(script):
    found, log, befores = run(script, rounds=2, turns=3)
    one_round = ["a open", "a", "b open", "b", *"ab", *"ba", *"ab"]  # opened one after the other
    assert log == 2 * one_round
    assert [text.splitlines() for text in befores] == [[], one_round]
    assert {side: [len(samples) for samples in rounds] for side, rounds in found.ms.items()} == {
        "a": [3, 3],
        "b": [3, 3],
    }
    first, second = found.answers["pid"]["a"]
    assert first != second
    assert found.answers["pid"]["b"] == [None, None]


def test_a_worker_that_dies_is_one_line(script, tmp_path):
    script.write_text(SCRIPT.replace('print("output of an engine")', "sys.exit(3)"))
    with pytest.raises(SystemExit, match=r"the worker for .* ended early"):
        run(script, rounds=1, turns=1)


@pytest.mark.parametrize(("given", "expected"), [([], (5, 120.0)), (["--quick"], (1, 0.0))])
def test_quick_is_one_round_without_patience(monkeypatch, given, expected):
    monkeypatch.setattr(sys, "argv", ["script.py", *given])
    found = driver_arguments(parser(None, rounds=5), pytest.fail)
    assert (found.rounds, found.patience) == expected


def test_a_turn_is_the_median_of_its_calls(monkeypatch):
    start, look, stop = 0.0, 0.0, 9.0
    clock = iter([start, 0.0, 1.0, look, 0.0, 5.0, look, 0.0, 3.0, stop])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert turn_ms(lambda: None, 4.0) == 3000.0


def test_a_side_answers_only_its_questions():
    side = Side(call=lambda: None, answers={"memory": lambda: 7}, turn_s=0.0)
    assert side.answer("memory") == 7
    assert side.answer("turn") >= 0
    assert side.answer("logits") is None


def test_every_side_is_first_in_turn():
    assert [rotated("abc", turn)[0] for turn in range(4)] == ["a", "b", "c", "a"]
