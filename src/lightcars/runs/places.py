"""Recognize the folders that hold models. No torch."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from lightcars.weights.hub import CONFIG_FILE

RUN_FILE = "run.json"
"""Description of a run, in its folder."""


def holds_model(path: Path) -> bool:
    """Tell whether a path is a run folder or a checkpoint folder; one that is too long is neither."""
    with suppress(OSError):
        return (path / CONFIG_FILE).is_file() or (path / RUN_FILE).is_file()
    return False
