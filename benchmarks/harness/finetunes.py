"""Whole fine-tunes on Stanford Cars, as the benchmarks of recipes run them, and their metrics."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from benchmarks.harness.ratios import rounded
from lightcars import finetune
from lightcars.recipes.aliases import old_key
from lightcars.recipes.recipe import Recipe, flat
from lightcars.runs.folder import RunFolder

EPOCHS = 30
NOT_COMPARED = ("seed", "model.weights", "distillation.teacher")
LAST_EPOCH_OF_C50 = 129
SCALED_MILESTONES = [round(epoch * EPOCHS / LAST_EPOCH_OF_C50) for epoch in (67, 82, 95, 107)]

PINNED = ["precision=32-true", "memory_format=channels_last", "images_on_device=false"]
"""Settings that a run would otherwise choose by measurement, differently on another machine."""

START = str(Path(__file__).parents[1] / "cars" / "search-start.yaml")
"""The recipe from which the search for `cars-scratch` started."""
C50_CHANGES = [
    f"epochs={EPOCHS}",
    "resolution=112",
    f"schedule.settings.milestones={SCALED_MILESTONES}",
]
"""Changes of the thesis's C-50, for as many epochs."""


def finetuned(data: Path, folder: Path, recipe: Recipe) -> dict[str, Any]:
    """Return the metrics of one fine-tune; run it first, or resume it, unless the folder has them.

    Raises:
        SystemExit: the folder has a run of another recipe.
    """
    run = RunFolder(folder)
    if (folder / "metrics.json").is_file():
        before = run.read().recipe.settled_by(recipe)
        changed = before.differences(recipe)
        if changed:
            raise SystemExit(f"{folder} has a run of another recipe: {', '.join(changed)}.")
    else:
        finetune(data, recipe=recipe, out=folder, resume=run.description.exists(), progress=True)
    metrics = json.loads((folder / "metrics.json").read_text())
    head, *rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    columns = dict(zip(head, zip(*rows, strict=True), strict=True))
    return {
        "seed": recipe.seed,
        "val_top1_percent": rounded(metrics["val_top1_percent"]),
        "val_top5_percent": rounded(metrics["val_top5_percent"]),
        "best_epoch": metrics["best_epoch"],
        "val_top1_percent_by_epoch": [rounded(float(value)) for value in columns["val_top1_percent"]],
        "hours": rounded(hours([float(value) for value in columns["seconds"]])),
    }


def digest(recipe: Recipe) -> str:
    """Return a digest of all settings that differ from the defaults, except seed and paths of other runs.

    Keys that were renamed are hashed under their first names, so that kept results stay valid.
    """
    usual = flat(Recipe().to_dict())
    own = {
        old_key(key): value
        for key, value in flat(recipe.to_dict()).items()
        if key not in NOT_COMPARED and (key not in usual or usual[key] != value)
    }
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:12]


def earlier_results(out: Path, data: str, changes: Sequence[str]) -> dict[str, Any]:
    """Return the results of a file, if they are of the same data and changes; otherwise nothing."""
    there = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    same = (there.get("data"), there.get("changes")) == (data, list(changes))
    return dict(there["results"]) if same else {}


def hours(seconds: Sequence[float]) -> float:
    """Return the hours of all epochs; one of over ten times the median was interrupted, and counts as it."""
    usual = median(seconds)
    return sum(usual if each > 10 * usual else each for each in seconds) / 3600


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Return mean and standard deviation of the runs' top-1."""
    tops = [run["val_top1_percent"] for run in runs]
    return {
        "val_top1_percent_mean": rounded(mean(tops)),
        "val_top1_percent_deviation": rounded(stdev(tops)) if len(tops) > 1 else None,
    }
