"""One process writes in a run folder at a time."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import final

from filelock import FileLock, Timeout

from lightcars.errors import RunError

LOCK_FILE = ".lock"


@final
class RunLock:
    """Holds a run folder, once `acquire` was called, until the `with` block ends.

    The system releases it when the process dies. Where a file system has no locks, nothing is locked.
    """

    def __init__(self) -> None:
        self._lock: FileLock | None = None

    def acquire(self, folder: Path) -> None:
        """Lock the folder, which must exist.

        Raises:
            RunError: another process is writing in it, or the folder cannot be written to.
        """
        lock = FileLock(folder / LOCK_FILE, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunError(
                f"another process is writing in {folder}; wait for it, or give another folder."
            ) from error
        except NotImplementedError:
            return
        except OSError as error:
            raise RunError(f"cannot write to {folder}: {error.strerror or error}.") from error
        self._lock = lock

    def __enter__(self) -> RunLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is None:
            return
        with suppress(OSError):  # before it is released, so that nobody holds a file that is gone
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()
