"""Call a function in a new Python process, so that a crash there ends only this call. No torch.

The process has its own session, so that Ctrl-C reaches only the parent, which ends the process with its
children; it ends by itself when the parent does. Its result is a file, because engines print to stdout.
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
    " from lightcars.benching.process import serve; serve(task)"
)
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """Result of a call: a value, or the problem in one line."""

    value: dict[str, Any] | None
    problem: str | None


def call_in_process(
    target: str, argument: Mapping[str, Any], *, environment: Mapping[str, str] | None = None
) -> ProcessResult:
    """Call a function that takes and returns JSON.

    Args:
        target: "module:function".
        argument: of the function.
        environment: variables in addition to those of this process.
    """
    with tempfile.TemporaryDirectory(prefix="lightcars-") as name:
        folder = Path(name)
        task = {
            "path": sys.path,
            "target": target,
            "argument": dict(argument),
            "result": str(folder / "result.json"),
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
    """Kill the process and its children, while its id is still its own."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _read(folder: Path, code: int) -> ProcessResult:
    with suppress(OSError, ValueError):
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return ProcessResult(content["value"], content["problem"])
    if code == -getattr(signal, "SIGKILL", 9):
        return ProcessResult(None, "its process was killed (SIGKILL), most likely out of memory")
    if code < 0:
        return ProcessResult(None, f"its process crashed ({signal.Signals(-code).name})")
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = f": {lines[-1][:_LONGEST]}" if lines else ""
    return ProcessResult(None, f"its process ended without a result (exit code {code}){last}")


def serve(task: dict[str, Any]) -> None:
    """Call the function in the new process, and write its result or the problem."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(OSError):  # out of memory, Linux kills this process before its parent
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
    write_text(Path(task["result"]), json.dumps({"value": value, "problem": problem}))


def _end_with_parent() -> NoReturn:
    os.read(0, 1)  # returns when the parent ends
    os._exit(1)
