"""Figures of matplotlib, made without a display and written as PNG. No torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightcars.errors import ConfigError, MissingExtraError, RunError
from lightcars.files import replacing

SUFFIX = ".png"


def check_picture(path: Path) -> None:
    """What can be known of the file to write before anything is computed that is to be drawn.

    Raises:
        ConfigError: another ending than .png.
        RunError: a place that cannot be written to.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix.lower() != SUFFIX:
        raise ConfigError(f"a picture is a PNG file and ends in {SUFFIX}, not as {path}.")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not there.is_dir() or not os.access(there, os.W_OK):
        raise RunError(f"cannot write to {path}; name a file in a folder that is yours.")
    new_figure(width=1, height=1)


def new_figure(*, width: float, height: float) -> Any:
    """An empty figure, in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing needs matplotlib: pip install 'lightcars[cars]'") from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def write_figure(figure: Any, path: Path) -> None:
    """As PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
