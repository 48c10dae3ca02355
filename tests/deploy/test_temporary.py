"""Temporary folders: nothing is left after SIGTERM."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from lightcars.deploy.temporary import temporary_folder

CODE = """
import os, signal
from lightcars.deploy.temporary import temporary_folder
{before}
with temporary_folder() as folder:
    (folder / "part").write_text("half")
    print(folder, flush=True)
    {terminate}
"""
TERMINATE = "os.kill(os.getpid(), signal.SIGTERM)"


def run(tmp_path, before="", terminate=TERMINATE):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    code = CODE.format(before=before, terminate=terminate)
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM of this kind")
def test_sigterm_leaves_nothing_and_ends_the_process(tmp_path):
    ended = run(tmp_path)
    assert str(tmp_path) in ended.stdout
    assert list(tmp_path.iterdir()) == []
    assert (ended.returncode, ended.stderr) == (-signal.SIGTERM, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM of this kind")
def test_sigterm_ends_the_process_also_where_a_destructor_swallows_it(tmp_path):
    destructor = f"type('Odd', (), {{'__del__': lambda _: {TERMINATE}}})()"
    ended = run(tmp_path, terminate=destructor)
    assert list(tmp_path.iterdir()) == []
    assert ended.returncode == -signal.SIGTERM


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM of this kind")
def test_the_programs_own_handler_is_kept(tmp_path):
    ended = run(tmp_path, before="signal.signal(signal.SIGTERM, lambda *_: exit(7))")
    assert ended.returncode == 7
    assert list(tmp_path.iterdir()) == []


def test_the_handler_is_as_before():
    before = signal.getsignal(signal.SIGTERM)
    with temporary_folder() as folder:
        assert folder.is_dir()
    assert not folder.exists()
    assert signal.getsignal(signal.SIGTERM) is before
    done = []

    def work():
        with temporary_folder() as inside:
            done.append(inside.is_dir())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
