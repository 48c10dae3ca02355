"""What a run is resumed from: damaged, missing, of an older version, and what killed processes leave."""

import json
from pathlib import Path

import pytest
import torch

from lightcars.errors import RunError
from lightcars.runs.folder import RunFolder
from lightcars.runs.state import CHECKSUMS, remove_partial, restore_state
from lightcars.training.checkpoints import AtomicCheckpoints


def content(epoch: int) -> dict:
    return {"epoch": epoch, "state": {"weight": torch.full((500,), float(epoch))}}


def epoch_of(path) -> int:
    return torch.load(path, weights_only=True)["epoch"]


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """A run of three epochs."""
    run = RunFolder(tmp_path / "run")
    for epoch in (1, 2, 3):
        AtomicCheckpoints().save_checkpoint(content(epoch), run.resumable)
    return run


def flip(path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.unlink()  # the other one may be the same file
    path.write_bytes(data)


def names(run) -> set[str]:
    return {path.name for path in run.checkpoints.iterdir()}


def test_the_last_two_are_kept(run):
    assert (epoch_of(run.resumable), epoch_of(run.previous)) == (3, 2)
    assert names(run) == {"last.ckpt", "previous.ckpt", CHECKSUMS}
    assert restore_state(run) is None


def test_every_flipped_byte_is_noticed(run):
    size = run.resumable.stat().st_size
    whole = run.resumable.read_bytes()
    for position in range(0, size, size // 60):
        run.resumable.unlink()
        run.resumable.write_bytes(whole)
        flip(run.resumable, position)
        assert "last.ckpt was damaged; the run continues from the epoch before" in restore_state(run), (
            position
        )
        assert epoch_of(run.resumable) == 2
    AtomicCheckpoints().save_checkpoint(content(3), run.resumable)
    assert restore_state(run) is None


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "missing"])
def test_the_epoch_before_is_taken_and_said(run, damage):
    state = run.resumable.read_bytes()
    run.resumable.unlink()
    if damage != "missing":
        run.resumable.write_bytes({"truncated": state[:-100], "empty": b"", "text": b"no state"}[damage])
    note = restore_state(run)
    assert f"last.ckpt was {'missing' if damage == 'missing' else 'damaged'};" in note
    assert "\n" not in note
    assert epoch_of(run.resumable) == 2
    assert restore_state(run) is None


def test_both_damaged_is_one_line(run):
    for path in (run.resumable, run.previous):
        flip(path, 700)
    with pytest.raises(RunError, match="is damaged, so the run cannot be resumed; start again in another"):
        restore_state(run)


def test_both_missing_starts_again_and_says_so(run):
    for path in (run.resumable, run.previous):
        path.unlink()
    assert "last.ckpt is missing; the run starts again from its first epoch" in restore_state(run)


def test_a_run_that_was_stopped_before_its_first_state_needs_no_note(tmp_path):
    run = RunFolder(tmp_path)
    assert restore_state(run) is None
    run.table.write_text("epoch\n1\n")
    assert restore_state(run) is None
    run.table.write_text("epoch\n1\n2\n")
    assert "is missing" in restore_state(run), "of an older version, without checksums"


@pytest.mark.parametrize("checksums", [None, "{", "3", "[3]", "[" * 100_000])
def test_without_checksums_the_archive_has_its_own(run, checksums):
    """Runs of earlier versions have no list, and this one may be damaged."""
    run.previous.unlink()
    (run.checkpoints / CHECKSUMS).unlink()
    if checksums is not None:
        (run.checkpoints / CHECKSUMS).write_text(checksums)
    assert restore_state(run) is None
    whole = run.resumable.read_bytes()
    flip(run.resumable, whole.index(torch.full((500,), 3.0).numpy().tobytes()) + 100)
    with pytest.raises(RunError, match="is damaged"):
        restore_state(run)
    run.resumable.write_bytes(whole)
    AtomicCheckpoints().save_checkpoint(content(4), run.resumable)
    assert len(json.loads((run.checkpoints / CHECKSUMS).read_text())) == 2, (
        "the older one is known from now on"
    )
    run.resumable.unlink()
    assert "missing" in restore_state(run)
    assert epoch_of(run.resumable) == 3


def test_a_process_killed_at_any_moment_leaves_a_state(run, monkeypatch):
    """Whatever of the steps of a save was the last one that was done."""
    from lightcars.runs import state
    from lightcars.training import checkpoints

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    for target, name in (
        (checkpoints, "note_digest"),
        (checkpoints, "keep_previous"),
        (state, "_put_in_place"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, killed)
            with pytest.raises(Killed):
                AtomicCheckpoints().save_checkpoint(content(4), run.resumable)
        assert restore_state(run) is None
        assert epoch_of(run.resumable) == 3


def test_a_process_killed_between_both_files_leaves_nothing_behind_later(run):
    """Then both names are links of one file, and replacing one by the other does nothing."""
    run.previous.unlink()
    run.previous.hardlink_to(run.resumable)
    AtomicCheckpoints().save_checkpoint(content(4), run.resumable)
    assert (epoch_of(run.resumable), epoch_of(run.previous)) == (4, 3)
    assert names(run) == {"last.ckpt", "previous.ckpt", CHECKSUMS}


def test_without_hard_links_it_is_copied(run, monkeypatch):
    def no_links(*_):
        raise PermissionError

    monkeypatch.setattr("lightcars.runs.state.os.link", no_links)
    AtomicCheckpoints().save_checkpoint(content(4), run.resumable)
    assert (epoch_of(run.resumable), epoch_of(run.previous)) == (4, 3)
    assert names(run) == {"last.ckpt", "previous.ckpt", CHECKSUMS}


def test_a_full_disk_is_one_line_and_leaves_the_state(run, monkeypatch):
    opened = Path.open

    def full(path, mode="r", *arguments, **settings):
        if mode == "wb" and path.name.startswith(".last.ckpt"):
            return opened(Path("/dev/full"), mode)
        return opened(path, mode, *arguments, **settings)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(RunError, match=r"cannot write .*last\.ckpt: No space left on device") as caught:
        AtomicCheckpoints().save_checkpoint(content(4), run.resumable)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert names(run) == {"last.ckpt", "previous.ckpt", CHECKSUMS}
    assert restore_state(run) is None


def test_what_killed_processes_left_is_removed(run):
    left = [run.path / ".metrics.csv.abc.part", run.checkpoints / ".last.ckpt.x.part", run.best / ".w.part"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    folder = run.path / ".stage.part"
    (folder / "inside").mkdir(parents=True)
    kept = [run.path / "notes.part", run.path / ".hidden"]
    for path in kept:
        path.touch()
    remove_partial(run)
    assert not any(path.exists() for path in (*left, folder))
    assert all(path.exists() for path in kept)
