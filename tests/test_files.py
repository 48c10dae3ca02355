"""Files are written completely or not at all."""

import json
import os
import stat

import pytest

from lightcars.errors import DownloadError, RunError
from lightcars.files import replacing, staging, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_a_new_file_and_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "note.txt"
    write_text(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    assert names(path.parent) == ["note.txt"]


def test_replaces_an_old_file(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("a much longer old text")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["note.txt"]


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt()])
def test_failure_midway_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "note.txt"
    path.write_text("old")

    def write_half():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["note.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failing_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step):
    path = tmp_path / "note.txt"
    path.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(RunError, match=r"cannot write .*note.txt: No space left on device\."):
        write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["note.txt"]


def test_old_file_stays_in_place_while_the_new_one_is_written(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.parent == path.parent, "on the same disk, so that the move is atomic"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_file_instead_of_a_folder(tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        write_text(tmp_path / "folder" / "note.txt", "new")


def test_a_folder_instead_of_a_file(tmp_path):
    (tmp_path / "note.txt").mkdir()
    with pytest.raises(RunError, match="cannot write"):
        write_text(tmp_path / "note.txt", "new")
    assert names(tmp_path) == ["note.txt"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_follow_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "note.txt", "new")
        assert os.umask(mask) == mask, "the mask is restored"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "note.txt").stat().st_mode) == mode


def test_staged_files_move_to_their_places(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").write_text("old")
    (tmp_path / "out" / "kept.txt").write_text("kept")
    with staging(tmp_path / "out") as stage:
        (stage / "inner").mkdir()
        (stage / "inner" / "a.txt").write_text("a")
        (stage / "old.txt").write_text("new")
        assert (tmp_path / "out" / "old.txt").read_text() == "old"
    assert names(tmp_path / "out") == ["inner", "kept.txt", "old.txt"]
    assert (tmp_path / "out" / "old.txt").read_text() == "new"
    assert names(tmp_path / "out" / "inner") == ["a.txt"]


@pytest.mark.parametrize(
    "error", [KeyError("x"), KeyboardInterrupt(), DownloadError("x"), OSError(28, "full")]
)
def test_nothing_staged_is_left_after_a_failure(tmp_path, error):
    def fail(folder):
        with staging(folder) as stage:
            (stage / "a.txt").write_text("a")
            raise error

    kind = RunError if type(error) is OSError else type(error)
    with pytest.raises(kind):
        fail(tmp_path / "new" / "folder")
    assert names(tmp_path) == []
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(kind):
        fail(tmp_path)
    assert names(tmp_path) == ["mine.txt"]


def test_staging_without_write_access(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write to .*file"), staging(tmp_path / "file"):
        pass
    with pytest.raises(RunError, match=r"cannot write to .*inner"), staging(tmp_path / "file" / "inner"):
        pass


def test_bytes_of_a_file_name_become_escapes(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    write_text(tmp_path / "a.json", json.dumps({"name": name}, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": name}
