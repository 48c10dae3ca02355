"""Resuming when something is no longer as it was: other images, damaged states, another process."""

import json
import shutil

import pytest
import torch

from lightcars import evaluate, finetune, load
from lightcars.errors import DataError, RunError
from lightcars.runs.folder import RunFolder
from lightcars.runs.lock import RunLock
from tests.training.test_finetune import assert_same_run, files, in_epoch, interrupt
from tests.training.tiny_settings import TINY_RECIPE


@pytest.fixture(scope="module")
def stopped_once(drawn, tiny, tmp_path_factory):
    """A run that was stopped in its third epoch, and its data, both to be copied."""
    root = tmp_path_factory.mktemp("stopped")
    data = shutil.copytree(drawn, root / "data")
    with pytest.MonkeyPatch.context() as patch:
        in_epoch(patch, 3, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tiny(data, root / "run")
    return root


@pytest.fixture
def stopped(stopped_once, tmp_path):
    shutil.copytree(stopped_once, tmp_path / "root")
    return tmp_path / "root"


def resume(root):
    return finetune(root / "data", out=root / "run", resume=True)


# Other images


def renamed(data) -> None:
    (data / "train" / "Bus" / "0000.png").rename(data / "train" / "Bus" / "9999.png")


def replaced(data) -> None:
    shutil.copy(data / "train" / "SUV" / "0001.png", data / "train" / "Bus" / "0000.png")


def swapped(data) -> None:
    bus, suv = (data / "val" / kind / "0001.png" for kind in ("Bus", "SUV"))
    bus.rename(data / "moved")
    suv.rename(bus)
    (data / "moved").rename(suv)


def moved(data) -> None:
    (data / "train" / "Bus" / "0000.png").rename(data / "train" / "SUV" / "0000b.png")


def removed(data) -> None:
    (data / "train" / "Bus" / "0000.png").unlink()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (renamed, "train/Bus/0000.png is missing; train/Bus/9999.png is new"),
        (replaced, "train/Bus/0000.png has "),
        (swapped, "val/Bus/0001.png has "),
        (moved, "train/Bus/0000.png is missing; train/SUV/0000b.png is new"),
        (removed, "{'train': 47, 'val': 24}, then {'train': 48, 'val': 24}; train/Bus/0000.png is missing"),
    ],
)
def test_other_images_are_refused_by_name(stopped, change, named):
    change(stopped / "data")
    before = {path: path.read_bytes() for path in (stopped / "run").rglob("*") if path.is_file()}
    with pytest.raises(DataError, match="is not the data that") as caught:
        resume(stopped)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in before} == before


def test_an_image_that_cannot_be_read_any_more(stopped):
    path = stopped / "data" / "train" / "Bus" / "0000.png"
    path.write_bytes(b"\0" * path.stat().st_size)  # the same size
    with pytest.raises(DataError, match=r"unreadable images: \{'train': 1\}; when the run was started: none"):
        resume(stopped)


def test_a_finished_run_names_the_split(drawn_copy, finished, tmp_path):
    shutil.copytree(finished.run, tmp_path / "run")
    path = next((drawn_copy / "val").rglob("*.png"))
    path.rename(path.with_name("other.png"))
    with pytest.raises(DataError, match="the images of val differ"):
        finetune(drawn_copy, out=tmp_path / "run", resume=True)


def test_a_run_without_digests_is_resumed_as_before(stopped, table):
    """Renamed images would be refused with them; an older version's run.json has none."""
    path = stopped / "run" / "run.json"
    content = json.loads(path.read_text())
    del content["format"], content["data"]["digests"]
    path.write_text(json.dumps(content))
    (stopped / "run" / "initial" / "images.csv").unlink()
    renamed(stopped / "data")
    resume(stopped)
    assert len(table(stopped / "run")) == 3


# The state


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [flip, lambda path: path.unlink()], ids=["damaged", "missing"])
def test_it_goes_on_from_the_epoch_before_to_the_same_end(stopped, finished, table, same_weights, damage):
    damage(RunFolder(stopped / "run").resumable)
    with pytest.warns(UserWarning, match=r"last\.ckpt was .*; the run continues from the epoch before"):
        resume(stopped)
    assert_same_run(stopped / "run", finished.run, table, same_weights)


def test_without_any_state_it_starts_again_to_the_same_end(stopped, finished, table, same_weights):
    run = RunFolder(stopped / "run")
    run.resumable.unlink()
    run.previous.unlink()
    with pytest.warns(UserWarning, match=r"last\.ckpt is missing; the run starts again from its first epoch"):
        resume(stopped)
    assert_same_run(stopped / "run", finished.run, table, same_weights)


def test_both_states_damaged_is_one_line(stopped):
    run = RunFolder(stopped / "run")
    flip(run.resumable)
    flip(run.previous)
    with pytest.raises(RunError, match="is damaged, so the run cannot be resumed") as caught:
        resume(stopped)
    assert "\n" not in str(caught.value)


def test_what_a_killed_process_left_is_removed(stopped, finished):
    for name in (".metrics.csv.x1.part", "last/.model.safetensors.x2.part", "checkpoints/.last.ckpt.x3.part"):
        (stopped / "run" / name).write_text("half")
    resume(stopped)
    assert files(stopped / "run") == files(finished.run)


def test_a_disk_that_fills_up_while_the_state_is_written(drawn, tiny, tmp_path, monkeypatch):
    """torch reports it as a RuntimeError of its own; tests/runs/test_state.py has a really full one."""

    def full(*_):
        raise OSError(28, "No space left on device")

    in_epoch(monkeypatch, 2, lambda _: monkeypatch.setattr("lightcars.runs.state.HashingWriter.write", full))
    with pytest.raises(RunError, match="No space left on device") as caught:
        tiny(drawn, tmp_path / "run")
    assert "\n" not in str(caught.value)
    run = RunFolder(tmp_path / "run")
    assert torch.load(run.resumable, weights_only=True)["epoch"] == 0


# Two processes


def test_a_run_that_is_being_written_is_not_resumed(stopped):
    before = {path: path.read_bytes() for path in (stopped / "run").rglob("*") if path.is_file()}
    with RunLock() as lock:
        lock.acquire(stopped / "run")
        with pytest.raises(RunError, match="another process is writing in"):
            resume(stopped)
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_is_locked_from_its_first_step_to_its_end(drawn, tiny, tmp_path, monkeypatch):
    seen = []

    def look(_module):
        with RunLock() as lock, pytest.raises(RunError, match="another process"):
            lock.acquire(tmp_path / "run")
        seen.append(True)

    in_epoch(monkeypatch, 1, look)
    tiny(drawn, tmp_path / "run")
    assert seen == [True]
    with RunLock() as lock:
        lock.acquire(tmp_path / "run")


# What is measured


def test_the_validation_loss_is_that_of_evaluate(finished):
    """Without label smoothing, though the training loss has it."""
    assert TINY_RECIPE.label_smoothing > 0
    measured = evaluate(finished.run, finished.data)
    assert finished.result.metrics["val_loss"] == pytest.approx(measured.loss, rel=1e-5)
    assert load(finished.run / "best").config.num_classes == 8
