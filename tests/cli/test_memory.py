"""Out of memory is one line, wherever it strikes."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), -1))
from lightcars.cli.main import run
sys.argv = ["lightcars", "evaluate", "cars196", sys.argv[2]]
run()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is not enforced there")
@pytest.mark.parametrize("gigabytes", [1.0, 2.5])
def test_little_address_space(gigabytes, cars):
    """Too little to load torch; the interpreter and the command itself fit."""
    limit = str(int(gigabytes * 2**30))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, limit, str(cars)],
        capture_output=True,
        text=True,
        check=False,
        env={"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: not enough memory; ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes. Error code 12"
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        OSError(12, "Cannot allocate memory"),
    ],
    ids=repr,
)
def test_out_of_memory_anywhere(error, lightcars, cars, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("lightcars.evaluation.evaluate.load_trained", fail)
    assert lightcars("evaluate", "cars196", cars).error.startswith("not enough memory; ")
