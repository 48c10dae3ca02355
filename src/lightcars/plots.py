"""Matplotlib figures without a display, written as PNG. No torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightcars.errors import ConfigError, MissingExtraError, RunError
from lightcars.files import replacing

SUFFIX = ".png"


def check_picture(path: Path) -> None:
    """Check the path of a plot before anything is computed.

    Raises:
        ConfigError: the suffix is not .png.
        RunError: the path cannot be written to.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix.lower() != SUFFIX:
        raise ConfigError(f"a plot is a PNG file; its name must end in {SUFFIX}, not {path}.")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not there.is_dir() or not os.access(there, os.W_OK):
        raise RunError(f"cannot write to {path}; name a file in a writable folder.")
    new_figure(width=1, height=1)


def new_figure(*, width: float, height: float) -> Any:
    """Create an empty figure of a size in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plots need matplotlib: pip install 'lightcars[cars]'") from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG, completely or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
