"""A run that is killed, whose disk fills up or whose state is damaged ends with the same files."""

import shutil
import signal
from pathlib import Path
from random import Random

import pytest

from tests.chaos import processes
from tests.chaos.processes import (
    FINISHED,
    FREEING,
    OUR_ERROR,
    after,
    at_change,
    full_disk,
    kill,
    no_larger_than,
    run,
)
from tests.training.test_finetune import assert_same_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a POSIX system"),
]
CHOSEN, RANDOM = 70, 30
"""Kills before changes of files, spread over the run, and at random times."""


@pytest.fixture(scope="module")
def changes(drawn, tmp_path_factory) -> int:
    return processes.count_changes(drawn, tmp_path_factory.mktemp("counted") / "run")


@pytest.fixture
def ends_alike(drawn, finished, table, same_weights):
    """Resume a run until it is finished, and compare it with one that was never interrupted."""

    def check(out: Path) -> None:
        code = run(drawn, out)
        if code == OUR_ERROR and not (out / "run.json").exists():  # killed before it began
            shutil.rmtree(out)
            code = run(drawn, out)
        log = out.with_suffix(".log")
        assert code == FINISHED, log.read_text() if log.exists() else code
        assert_same_run(out, finished.run, table, same_weights)
        assert not list(out.rglob("*.part"))

    return check


def spread(total: int, number: int) -> list[int]:
    """Return up to `number` positions below `total`, evenly spread, both ends included."""
    return sorted({round(step * (total - 1) / (number - 1)) for step in range(number)})


def test_kills_before_changes_of_files(drawn, changes, ends_alike, tmp_path):
    moments = spread(changes, CHOSEN)
    for moment in moments:
        out = tmp_path / f"run{moment}"
        assert run(drawn, out, at_change(out, moment, kill)) == -signal.SIGKILL, moment
        ends_alike(out)
    assert len(moments) >= min(CHOSEN, changes)


def test_kills_at_random_times(drawn, ends_alike, tmp_path):
    random, killed = Random(0), 0
    for number in range(RANDOM):
        out = tmp_path / f"run{number}"
        for _ in range(random.randrange(1, 3)):
            killed += run(drawn, out, after(random.uniform(0.05, 2.0))) == -signal.SIGALRM
        if out.exists():
            ends_alike(out)
    assert killed >= RANDOM / 2, "the runs end before they are killed"


def test_the_disk_is_full_at_any_change(drawn, changes, ends_alike, tmp_path):
    """Every change that fails is an error of one line or harmless, and costs nothing."""
    for moment in range(changes):
        out = tmp_path / f"run{moment}"
        code = run(drawn, out, at_change(out, moment, full_disk, spared=FREEING))
        log = out.with_suffix(".log")
        assert code in (FINISHED, OUR_ERROR), log.read_text()
        if out.exists():
            ends_alike(out)


@pytest.mark.parametrize("size_bytes", [0, 100, 1000, 5000, 20_000, 50_000, 100_000])
def test_no_file_can_grow(size_bytes, drawn, ends_alike, tmp_path):
    out = tmp_path / "run"
    code = run(drawn, out, no_larger_than(size_bytes))
    log = out.with_suffix(".log")
    assert code in (FINISHED, OUR_ERROR), log.read_text()
    if out.exists():
        ends_alike(out)


def test_the_last_state_is_damaged_after_each_kill(drawn, changes, ends_alike, tmp_path):
    """The state before is used; where there is none yet, the user is told in one line."""
    random = Random(1)
    for moment in spread(changes, CHOSEN):
        out = tmp_path / f"run{moment}"
        run(drawn, out, at_change(out, moment, kill))
        state = out / "checkpoints" / "last.ckpt"
        if not state.exists():
            continue
        content = bytearray(state.read_bytes())
        content[random.randrange(len(content))] ^= 255
        state.unlink()  # `previous.ckpt` may be the same file
        state.write_bytes(content[: random.choice((len(content), len(content) // 2, 0))])
        code = run(drawn, out)
        if code == OUR_ERROR:
            assert "is damaged, so the run cannot be resumed" in out.with_suffix(".log").read_text()
            assert not (out / "checkpoints" / "previous.ckpt").exists()
        else:
            ends_alike(out)
