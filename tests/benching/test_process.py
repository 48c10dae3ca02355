"""call_in_process: whatever happens to the other process, the caller gets an result and goes on."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lightcars.benching import process
from lightcars.benching.process import call_in_process

FUNCTIONS = """
import os, signal, subprocess, sys
from pathlib import Path

def double(argument):
    print("engines print", argument)
    return {"twice": 2 * argument["number"], "mine": os.environ.get("MINE"), "pid": os.getpid()}

def refuse(argument):
    from lightcars.errors import ConfigError
    raise ConfigError("invalid setting.")

def fail(argument):
    raise RuntimeError("first line\\nsecond line")

def fail_silently(argument):
    raise RuntimeError

def send(argument):
    os.kill(os.getpid(), argument["signal"])

def leave(argument):
    print("last words", file=sys.stderr)
    os._exit(3)

def crash_later(argument):
    import atexit
    atexit.register(os.kill, os.getpid(), signal.SIGSEGV)
    return {}

def wait_with_child(argument):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(argument["pids"]).write_text(f"{os.getpid()} {child.pid}")
    open(argument["ready"], "w").close()
    child.wait()
"""


@pytest.fixture(autouse=True)
def functions(tmp_path, monkeypatch):
    (tmp_path / "elsewhere_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(tmp_path)


def call(name: str, **argument: object) -> process.ProcessResult:
    return call_in_process(f"elsewhere_functions:{name}", argument, environment={"MINE": "yes"})


def test_the_value_is_returned_although_the_process_prints():
    result = call("double", number=21)
    assert result.problem is None
    assert result.value.pop("pid") != os.getpid()
    assert result.value == {"twice": 42, "mine": "yes"}


@pytest.mark.parametrize(
    ("name", "argument", "problem"),
    [
        ("refuse", {}, "invalid setting."),
        ("fail", {}, "first line"),
        ("fail_silently", {}, "RuntimeError"),
        ("send", {"signal": signal.SIGSEGV}, "its process crashed (SIGSEGV)"),
        (
            "send",
            {"signal": signal.SIGKILL},
            "its process was killed (SIGKILL), most likely out of memory",
        ),
        ("leave", {}, "its process ended without a result (exit code 3): last words"),
        ("no_such", {}, "module 'elsewhere_functions' has no attribute 'no_such'"),
    ],
)
def test_problems_are_one_line(name, argument, problem):
    result = call(name, **argument)
    assert result.value is None
    assert result.problem == problem


def test_a_crash_after_the_result_loses_nothing():
    assert call("crash_later") == process.ProcessResult({}, None)


def test_the_folder_it_is_started_in_is_not_imported_from(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(folder)
    assert call("double", number=1).value["twice"] == 2


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "zombie" not in status.read_text()


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")


def wait_until_gone(pids: list[int]) -> None:
    gone = threading.Event()
    for _ in range(200):
        if not any(map(is_alive, pids)):
            return
        gone.wait(0.05)
    raise AssertionError([pid for pid in pids if is_alive(pid)])


@needs_proc
def test_ctrl_c_ends_it_and_what_it_started(tmp_path, monkeypatch):
    pids, ready = tmp_path / "pids", tmp_path / "ready"

    def interrupted(self: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        monkeypatch.setattr(subprocess.Popen, "wait", wait)
        pause = threading.Event()
        while not ready.exists():
            pause.wait(0.02)
        raise KeyboardInterrupt

    wait = subprocess.Popen.wait
    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call("wait_with_child", pids=str(pids), ready=str(ready))
    wait_until_gone([int(pid) for pid in pids.read_text().split()])


@needs_proc
def test_it_ends_when_the_caller_is_gone(tmp_path):
    pids, ready = tmp_path / "pids", tmp_path / "ready"
    code = (
        "from lightcars.benching.process import call_in_process\n"
        f"call_in_process('elsewhere_functions:wait_with_child', {{'pids': {str(pids)!r},"
        f" 'ready': {str(ready)!r}}})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    caller = subprocess.Popen([sys.executable, "-c", code], env=environment)
    pause = threading.Event()
    while not ready.exists():
        assert caller.poll() is None
        pause.wait(0.02)
    caller.kill()
    caller.wait()
    own, grandchild = (int(pid) for pid in pids.read_text().split())
    wait_until_gone([own])
    os.kill(grandchild, signal.SIGKILL)
