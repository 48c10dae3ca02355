"""Worker processes: each runs the benchmark's own module and answers questions over pipes, as JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Worker:
    """A fresh process that runs `python -m MODULE --worker TASK` and answers by JSON lines."""

    def __init__(self, module: str, task: Mapping[str, Any]) -> None:
        self._task = task
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "--worker", json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: str) -> Any:
        """Return the worker's answer; the other workers wait meanwhile."""
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


def ask_fresh(module: str, task: Mapping[str, Any]) -> Any:
    """Return the answer of a fresh process that does this one task."""
    worker = Worker(module, task)
    try:
        return worker.ask("go")
    finally:
        worker.close()


@contextlib.contextmanager
def workers(module: str, tasks: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Worker]]:
    """Start one worker for each side; all of them end with the context."""
    started: dict[str, Worker] = {}
    try:
        for side, task in tasks.items():
            started[side] = Worker(module, task)
        yield started
    finally:
        for worker in started.values():
            worker.close()


def serve(answer: Callable[[str], Any]) -> None:
    """Answer the questions of `Worker.ask` until the driving process closes the pipe."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # engines and compilers print too; keep that out of the answers
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), file=answers, flush=True)
