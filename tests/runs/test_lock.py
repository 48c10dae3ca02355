"""One process at a time in a run folder."""

import pytest

from lightcars.errors import RunError
from lightcars.runs.lock import LOCK_FILE, RunLock


def test_one_at_a_time(tmp_path):
    with RunLock() as first, RunLock() as second:
        first.acquire(tmp_path)
        with pytest.raises(RunError, match=f"another process is writing in {tmp_path}; wait") as caught:
            second.acquire(tmp_path)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with RunLock() as again:
        again.acquire(tmp_path)


def test_nothing_is_left_and_it_is_released_after_an_error(tmp_path):
    def work():
        with RunLock() as lock:
            lock.acquire(tmp_path)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_lock_that_was_never_taken_ends_well():
    with RunLock():
        pass


def test_a_folder_that_is_gone_while_it_is_held(tmp_path):
    with RunLock() as lock:
        (tmp_path / "run").mkdir()
        lock.acquire(tmp_path / "run")
        (tmp_path / "run" / LOCK_FILE).unlink()
        (tmp_path / "run").rmdir()


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path):
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(RunError, match="cannot write to"), RunLock() as lock:
        lock.acquire(tmp_path)


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def unsupported(*_, **__):
        raise NotImplementedError

    monkeypatch.setattr("lightcars.runs.lock.FileLock.acquire", unsupported)
    with RunLock() as first, RunLock() as second:
        first.acquire(tmp_path)
        second.acquire(tmp_path)
