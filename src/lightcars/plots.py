"""Figures of matplotlib, made without a display and written as PNG. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightcars.errors import MissingExtraError
from lightcars.files import replacing


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
