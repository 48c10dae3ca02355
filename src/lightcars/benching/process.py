"""A function called in a fresh Python process: what happens to that happens to this call alone. No torch.

The process is a session of its own, so that Ctrl-C reaches only us and we end it with whatever it started;
it ends by itself when we are gone. Its answer comes in a file, because engines print what they like.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from lightcars.errors import LightcarsError
from lightcars.files import write_text

_START = (
    "import json, sys; task = json.load(open(sys.argv[1], encoding='utf-8')); sys.path[:] = task['path'];"
    " from lightcars.benching.process import answer; answer(task)"
)
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a value, or the problem in one line."""

    value: dict[str, Any] | None
    problem: str | None


def call_elsewhere(
    target: str, argument: Mapping[str, Any], *, environment: Mapping[str, str] | None = None
) -> Answer:
    """Calls a function that takes and returns plain data.

    Args:
        target: "module:function".
        argument: its only one.
        environment: variables beside those of this process.
    """
    with tempfile.TemporaryDirectory(prefix="lightcars-") as name:
        folder = Path(name)
        task = {
            "path": sys.path,
            "target": target,
            "argument": dict(argument),
            "answer": str(folder / "answer.json"),
        }
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        with (folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, str(folder / "task.json")],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
            try:
                process.wait()
            except BaseException:
                _end(process)
                raise
            finally:
                assert process.stdin is not None
                process.stdin.close()
        return _read(folder, process.returncode)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends it and what it started, while its number still belongs to it."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _read(folder: Path, code: int) -> Answer:
    with suppress(OSError, ValueError):
        content = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        return Answer(content["value"], content["problem"])
    if code == -getattr(signal, "SIGKILL", 9):
        return Answer(None, "its process was killed (SIGKILL), most likely for want of memory")
    if code < 0:
        return Answer(None, f"its process crashed ({signal.Signals(-code).name})")
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = f": {lines[-1][:_LONGEST]}" if lines else ""
    return Answer(None, f"its process ended without an answer (exit code {code}){said}")


def answer(task: dict[str, Any]) -> None:
    """The other end: calls the function, writes what it returns or what is wrong."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(OSError):  # should memory run out, Linux ends this process rather than ours
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    value = problem = None
    try:
        module, _, name = task["target"].partition(":")
        value = getattr(importlib.import_module(module), name)(task["argument"])
    except LightcarsError as error:
        problem = str(error)
    except Exception as error:  # whatever an engine raises
        first = (str(error).strip().splitlines() or [""])[0][:_LONGEST]
        problem = first or type(error).__name__
    write_text(Path(task["answer"]), json.dumps({"value": value, "problem": problem}))


def _end_with_parent() -> NoReturn:
    os.read(0, 1)  # nothing ever comes but the end
    os._exit(1)
