"""A worker process that dies ends the run with one line; resuming ends it as if nothing had been."""

import json
import multiprocessing
import os
import signal
from dataclasses import replace

import pytest

from lightcars import load
from lightcars.data.dataset import ImageDataset
from lightcars.errors import ConfigError, RunError
from lightcars.training.callbacks.workers import is_dead_worker
from tests.training.test_finetune import assert_same_run, in_epoch
from tests.training.tiny_settings import TINY_RECIPE

DIED = r"^a data loader worker died.* --resume, .* fewer --workers \(now 2\) if it happens again\.$"


def kill_a_worker(_module) -> None:
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)


@pytest.mark.parametrize("at_step", [1, 5])
def test_a_killed_worker_loses_nothing(
    drawn, tiny, finished, tmp_path, monkeypatch, table, same_weights, at_step
):
    """Late in an epoch all its batches may have been read, and the death is noticed in the next one."""
    run, recipe = tmp_path / "run", replace(TINY_RECIPE, workers=2)
    with monkeypatch.context() as patch:
        in_epoch(patch, 2, kill_a_worker, at_step=at_step)
        with pytest.raises(RunError, match=DIED):
            tiny(drawn, run, recipe=recipe)
    assert multiprocessing.active_children() == []
    rows = table(run)
    assert len(rows) in ({1} if at_step == 1 else {1, 2})
    assert rows == table(finished.run)[: len(rows)]
    assert (run / "checkpoints" / "last.ckpt").is_file()
    for which in ("best", "last"):
        load(run / which)
    with pytest.raises(ConfigError, match=r"\(seed 0 -> 1\)"):
        tiny(drawn, run, resume=True, recipe=replace(recipe, seed=1, workers=1))
    workers = []
    in_epoch(monkeypatch, 3, lambda _: workers.append(len(multiprocessing.active_children())))
    tiny(drawn, run, resume=True, recipe=replace(recipe, workers=1))
    assert workers == [1]
    assert json.loads((run / "run.json").read_text())["recipe"]["workers"] == 1
    assert_same_run(run, finished.run, table, same_weights)


def test_a_worker_without_memory_loses_nothing(
    drawn, tiny, finished, tmp_path, monkeypatch, table, same_weights
):
    parent, take = os.getpid(), ImageDataset.__getitem__
    begun = tmp_path / "begun"

    def starved(self, index):
        if begun.exists() and os.getpid() != parent:
            raise MemoryError
        return take(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(ImageDataset, "__getitem__", starved)
        in_epoch(patch, 2, lambda _: begun.touch())
        with pytest.raises(RunError, match=DIED):
            tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, workers=2))
    tiny(drawn, tmp_path / "run", resume=True, recipe=None)
    assert_same_run(tmp_path / "run", finished.run, table, same_weights)


@pytest.mark.parametrize(
    ("error", "dead"),
    [
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), True),
        (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), True),
        (MemoryError("Caught MemoryError in DataLoader worker process 0.\nOriginal ..."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (MemoryError(), False),
        (RunError("the run stopped"), False),
    ],
)
def test_what_torch_says_when_a_worker_died(error, dead):
    assert is_dead_worker(error) == dead
