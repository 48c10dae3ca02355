"""Which recipe learns Stanford Cars best, on the same photographs, epochs, resolution and seeds?

Sides: `c-50` (the GhostNet thesis's best experiment, its milestones scaled to 30 epochs, at 112 px) and
`recipes/search-start.yaml`, with which the search for `cars-scratch` began, both from fresh weights; with
`--trunk FILE` also the pretrained ones: `cars-finetune` and the EfficientNet thesis's recipe.

Method: whole fine-tunes with `lightcars.finetune` in float32, one folder each under `--runs`; what is there
already is not done again, and what was stopped goes on. The figure is `val` top-1 of the epoch that `val`
chose.
`python benchmarks/cars_recipes.py --data cars196 --runs runs/recipes --seeds 0 1` does it all; hours.

Reading: differences below the spread of the seeds mean nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from lightcars import finetune
from lightcars.recipes.files import load_recipe, recipe_from
from lightcars.recipes.recipe import Recipe
from ratios import rounded, table
from record import RESULTS, write

EPOCHS = 30
LAST_EPOCH_OF_C50 = 129
SCALED = [round(epoch * EPOCHS / LAST_EPOCH_OF_C50) for epoch in (67, 82, 95, 107)]

PINNED = ["precision=32-true", "memory_format=channels_last", "images_on_device=false"]
"""What is measured otherwise, and might not be the same on another machine."""

START = str(Path(__file__).parent / "recipes" / "search-start.yaml")
FRESH = {
    "c-50": ("c-50", [f"epochs={EPOCHS}", "resolution=112", f"schedule.settings.milestones={SCALED}"]),
    "search-start": (START, []),
}
"""Side -> recipe and what is changed in it."""

IMAGENET = ["mean=[0.485, 0.456, 0.406]", "std=[0.229, 0.224, 0.225]"]
PRETRAINED = {
    "cars-finetune": ("cars-finetune", IMAGENET),
    "efficientnet-thesis-pretrained": ("efficientnet-thesis-pretrained", IMAGENET),
}


def recipe_of(side: str, seed: int, trunk: Path | None, changes: Sequence[str]) -> Recipe:
    name, own = (FRESH | PRETRAINED)[side]
    weights = [f"model.weights={trunk}"] if side in PRETRAINED else []
    return load_recipe(name, [*PINNED, *own, *weights, *changes, f"seed={seed}"])


def run(data: Path, folder: Path, recipe: Recipe) -> dict[str, Any]:
    """The figures of one fine-tune, done now unless it is there."""
    there = folder / "run.json"
    if (folder / "metrics.json").is_file():
        before = recipe_from(json.loads(there.read_text())["recipe"], str(there)).settled_by(recipe)
        changed = before.differences(recipe)
        if changed:
            raise SystemExit(f"{folder} holds a run of another recipe: {', '.join(changed)}.")
    else:
        finetune(data, recipe=recipe, out=folder, resume=there.exists(), progress=True)
    figures = json.loads((folder / "metrics.json").read_text())
    head, *rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    columns = dict(zip(head, zip(*rows, strict=True), strict=True))
    return {
        "seed": recipe.seed,
        "val_top1_percent": rounded(figures["val_top1_percent"]),
        "val_top5_percent": rounded(figures["val_top5_percent"]),
        "best_epoch": figures["best_epoch"],
        "val_top1_percent_by_epoch": [rounded(float(value)) for value in columns["val_top1_percent"]],
        "hours": rounded(hours([float(value) for value in columns["seconds"]])),
    }


def hours(seconds: Sequence[float]) -> float:
    """Of all epochs. One that took ten times the median was stopped meanwhile, and counts as the median."""
    usual = median(seconds)
    return sum(usual if each > 10 * usual else each for each in seconds) / 3600


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    tops = [run["val_top1_percent"] for run in runs]
    return {
        "val_top1_percent_mean": rounded(mean(tops)),
        "val_top1_percent_deviation": rounded(stdev(tops)) if len(tops) > 1 else None,
    }


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="Stanford Cars, in any layout")
    options.add_argument("--runs", type=Path, required=True, help="folder of the run folders, SIDE-sSEED")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--sides", nargs="+", choices=[*FRESH, *PRETRAINED], help="default: all that can be")
    options.add_argument(
        "--trunk", type=Path, help="pretrained EfficientNet-B0, with or without a classifier"
    )
    options.add_argument("--set", dest="changes", action="append", default=[], help="change every recipe")
    options.add_argument("--out", type=Path, default=RESULTS / "cars_recipes.json")
    given = options.parse_args()
    sides = given.sides or [*FRESH, *(PRETRAINED if given.trunk else ())]
    if given.trunk is None and set(sides) & set(PRETRAINED):
        options.error("the pretrained recipes need --trunk")
    results: dict[str, Any] = {}
    for seed in given.seeds:
        for side in sides:
            recipe = recipe_of(side, seed, given.trunk, given.changes)
            found = run(given.data, given.runs / f"{side}-s{seed}", recipe)
            results.setdefault(side, {"runs": []})["runs"].append(found)
    for side, found in results.items():
        results[side] = found | summary(found["runs"])
    rows = [
        [side, *(str(r[name]) for name in ("seed", "val_top1_percent", "val_top5_percent", "hours"))]
        for side, found in results.items()
        for r in found["runs"]
    ]
    print(table(["recipe", "seed", "val top-1 %", "top-5 %", "hours"], rows))
    write(given.out, "cars_recipes", data=given.data.name, changes=given.changes, results=results)


if __name__ == "__main__":
    main()
