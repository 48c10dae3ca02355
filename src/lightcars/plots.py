"""The style of all pictures, and Matplotlib figures without a display, written as PNG. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightcars.errors import ConfigError, MissingExtraError, RunError
from lightcars.files import replacing
from lightcars.text import one_line

SUFFIX = ".png"

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#666666")
"""Colors of lines and points that the color-blind can tell apart: those of Okabe and Ito, with indigo for the
yellow and gray for the black."""
TRAIN_COLOR, VAL_COLOR = COLORS[7], COLORS[0]
HEAT_MAP = "viridis"
"""Perceptually uniform: equal steps of a value look equal, in gray too."""

_STYLE: dict[str, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": "medium",
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "font.size": 10.0,
    "lines.linewidth": 1.6,
}

_NEEDED = "plots need matplotlib: pip install 'lightcars[cars]'"


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
        raise MissingExtraError(_NEEDED) from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG, completely or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


@contextmanager
def house_style() -> Iterator[None]:
    """Give the axes that are created inside the style of all pictures.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.rcsetup import cycler
    except ImportError as error:
        raise MissingExtraError(_NEEDED) from error
    settings: Any = {**_STYLE, "axes.prop_cycle": cycler(color=COLORS)}
    with rc_context(settings):
        yield


def plain_text(text: str) -> str:
    """Return text as Matplotlib shows it unchanged: what is between two $ would be a formula."""
    return one_line(text).replace("$", r"\$")
