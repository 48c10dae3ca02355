"""Check what a command is about to write: nothing of the user's is replaced without being asked. No torch."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from lightcars.errors import ConfigError, InputError, RunError

FORCE_HELP = "Replace existing files."


def check_output_file(
    path: Path,
    *,
    suffixes: Collection[str] = (),
    inputs: Iterable[str | Path] = (),
    force: bool = False,
) -> None:
    """Check the path of a file to write, before anything is computed.

    Args:
        path: of the file.
        suffixes: one of them must be its suffix, in any case; empty if any suffix will do.
        inputs: paths that the command reads; a folder stands for all files in it. Others are ignored.
        force: an existing file may be replaced, unless it is an input.

    Raises:
        ConfigError: another suffix.
        InputError: the file is an input.
        RunError: the file exists and `force` is False, or the path is a folder.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise ConfigError(f"{path} must end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise RunError(f"{path} is a folder; name a file in it or beside it.")
    if not os.path.lexists(path):
        return
    if any(_is_read(path, Path(source)) for source in inputs):
        raise InputError(f"{path} is an input of the command and is never replaced; name another file.")
    if not force:
        raise RunError(f"{path} already exists; --force (in Python force=True) replaces it.")


def check_output_folder(path: Path, *, inputs: Iterable[str | Path] = (), force: bool | None = None) -> None:
    """Check the path of a folder to write, before anything is computed.

    Args:
        path: of the folder; it may exist and be empty.
        inputs: paths that the command reads. The folder may neither hold one nor be inside of one.
        force: whether files in the folder may be replaced; None if the command never does that.

    Raises:
        InputError: the folder is an input, holds one or is inside of one.
        RunError: a file has its name, or it is not empty and `force` is not True.
    """
    target = path.resolve()
    for source in (Path(source).resolve() for source in inputs if Path(source).exists()):
        if source.is_relative_to(target):
            raise InputError(f"{path} is where the input {source.name} is; name another folder.")
        if source.is_dir() and target.is_relative_to(source):
            raise InputError(f"{path} is inside of the input {source}; name a folder outside of it.")
    if os.path.lexists(path) and not path.is_dir():
        raise RunError(f"{path} is a file; name a new folder.")
    if path.is_dir() and not force and any(path.iterdir()):
        advice = "name a new one" if force is None else "--force (in Python force=True) replaces files in it"
        raise RunError(f"{path} already exists and is not an empty folder; {advice}.")


def _is_read(path: Path, source: Path) -> bool:
    """Return whether an existing file is an input, or lies in a folder that is one."""
    if not path.exists() or not source.exists():
        return False
    return path.samefile(source) or (source.is_dir() and path.resolve().is_relative_to(source.resolve()))
