"""Fine-tunes in forks of the test's process, which are killed or run out of disk at a chosen moment."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from lightcars import finetune
from lightcars.errors import LightcarsError
from tests.training.tiny_settings import TINY_RECIPE

FINISHED, OUR_ERROR, TRACEBACK = 0, 2, 1
WRITING = os.O_WRONLY | os.O_RDWR
FREEING = ("os.remove", "os.rmdir", "os.truncate")
"""Changes that a full disk allows."""
CHANGES = ("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate")


def run(data: Path, out: Path, before: Callable[[], None] = lambda: None) -> int:
    """Start or resume the run in a fork.

    Args:
        data, out: of `finetune`; the run is resumed if it has begun.
        before: called in the fork first.

    Returns:
        One of the codes above, or minus the signal that ended it.
    """
    child = os.fork()
    if not child:
        os._exit(_finetune(data, out, before))
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status)


def _finetune(data: Path, out: Path, before: Callable[[], None]) -> int:
    """Return the exit code; a message lies beside the run."""
    log = out.with_suffix(".log")
    warnings.simplefilter("ignore")  # such as the one that a state was damaged
    try:
        before()
        resumed = (out / "run.json").exists()
        finetune(data, recipe=None if resumed else TINY_RECIPE, out=out, resume=resumed)
    except LightcarsError as error:
        code, text = OUR_ERROR, str(error)
    except BaseException:
        code, text = TRACEBACK, traceback.format_exc()
    else:
        return FINISHED
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        log.write_text(text)
    except OSError:  # the injected fault
        return code
    return code


def at_change(
    folder: Path, number: int, action: Callable[[], None], *, spared: Collection[str] = ()
) -> Callable[[], None]:
    """Return what makes `action` run before change `number` (from 0) of a file in the folder.

    It does not run if that is one of the spared changes.
    """

    def install() -> None:
        count = 0

        def look(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if _changes(event, arguments, folder):
                count += 1
                if count == number + 1 and event not in spared:
                    action()

        sys.addaudithook(look)

    return install


def count_changes(data: Path, out: Path) -> int:
    """Return how many times a whole run changes a file in its folder."""
    read, write = os.pipe()

    def install() -> None:
        def look(event: str, arguments: tuple[Any, ...]) -> None:
            if _changes(event, arguments, out):
                os.write(write, b".")

        sys.addaudithook(look)

    assert run(data, out, install) == FINISHED
    os.close(write)
    with os.fdopen(read, "rb") as events:
        return len(events.read())


def kill() -> None:
    """End this process as a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


def full_disk() -> None:
    """Fail as the system does when no space is left."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_larger_than(size_bytes: int) -> Callable[[], None]:
    """Return what limits the size of every file."""

    def limit() -> None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))

    return limit


def after(seconds: float) -> Callable[[], None]:
    """Return what kills the process after some time."""

    def start() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # its default ends the process, wherever it is
        signal.setitimer(signal.ITIMER_REAL, seconds)

    return start


def _changes(event: str, arguments: tuple[Any, ...], folder: Path) -> bool:
    if event == "open":
        path, _, flags = arguments
        if not (isinstance(flags, int) and flags & WRITING):
            return False
    elif event in CHANGES:
        path = arguments[0]
    else:
        return False
    return isinstance(path, str | Path) and str(path).startswith(str(folder))
