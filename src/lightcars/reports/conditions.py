"""When, where and how fast a run was trained."""

from __future__ import annotations

import math
from datetime import datetime

from lightcars.reports.run_metrics import SECONDS, RunContent


def conditions(run: RunContent) -> dict[str, str]:
    """Return start, duration, throughput, device and versions of a run, where they are known."""
    description, seconds = run.description, training_seconds(run)
    versions = {"lightcars": description.lightcars_version, **description.versions}
    found = {
        "started": _date(description.started),
        "training time": "" if seconds is None else duration(seconds),
        "training images/s": "" if seconds is None else f"{_images(run) / seconds:,.0f}",
        "device": description.device,
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
    }
    return {name: text for name, text in found.items() if text}


def training_seconds(run: RunContent) -> float | None:
    """Return the time of all epochs, with their validation; None if it is unknown."""
    total = sum(row.get(SECONDS, math.nan) for row in run.rows)
    return total if math.isfinite(total) and total > 0 else None


def _images(run: RunContent) -> int:
    """Return how many training images the run has seen."""
    return run.description.data.num_images.get("train", 0) * len(run.rows)


def duration(seconds: float) -> str:
    """Return a time for people.

    >>> duration(7.4), duration(432), duration(7260)
    ('7.4 s', '7 min 12 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _date(started: str) -> str:
    try:
        return datetime.fromisoformat(started).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return ""
