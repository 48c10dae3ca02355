"""Which recipe learns Stanford Cars best, on the same images, epochs, resolution and seeds?

Sides: `c-50` (the GhostNet thesis's best experiment, its milestones scaled to 30 epochs, at 112 px) and
`search-start.yaml`, from which the search for `cars-scratch` started, both from random weights; with
`--backbone FILE` also the pretrained ones: `cars-finetune` and the EfficientNet thesis's recipe.

Method: whole fine-tunes with `lightcars.finetune` in float32, one folder each under `--runs`; finished runs
are not repeated, and interrupted ones are resumed. The metric is `val` top-1 of the epoch that `val`
selected. `python -m benchmarks.cars.recipes --data cars196 --runs runs/recipes --seeds 0 1` runs
everything, for hours.

Reading: differences below the spread over seeds are not significant.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.finetunes import C50_CHANGES, PINNED, START, finetuned, summary
from benchmarks.harness.ratios import table
from benchmarks.harness.record import RESULTS, write
from lightcars.recipes.files import load_recipe
from lightcars.recipes.recipe import Recipe

FRESH = {"c-50": ("c-50", C50_CHANGES), "search-start": (START, [])}
"""Side -> recipe, and its changes."""

IMAGENET = ["mean=[0.485, 0.456, 0.406]", "std=[0.229, 0.224, 0.225]"]
PRETRAINED = {
    "cars-finetune": ("cars-finetune", IMAGENET),
    "efficientnet-thesis-pretrained": ("efficientnet-thesis-pretrained", IMAGENET),
}


def recipe_of(side: str, seed: int, backbone: Path | None, changes: Sequence[str]) -> Recipe:
    name, own = (FRESH | PRETRAINED)[side]
    weights = [f"model.weights={backbone}"] if side in PRETRAINED else []
    return load_recipe(name, [*PINNED, *own, *weights, *changes, f"seed={seed}"])


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="Stanford Cars, in any layout")
    options.add_argument("--runs", type=Path, required=True, help="folder of the run folders, SIDE-sSEED")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--sides", nargs="+", choices=[*FRESH, *PRETRAINED], help="default: all available")
    options.add_argument(
        "--backbone", type=Path, help="pretrained EfficientNet-B0, with or without a classifier"
    )
    options.add_argument("--set", dest="changes", action="append", default=[], help="change every recipe")
    options.add_argument("--out", type=Path, default=RESULTS / "cars_recipes.json")
    arguments = options.parse_args()
    sides = arguments.sides or [*FRESH, *(PRETRAINED if arguments.backbone else ())]
    if arguments.backbone is None and set(sides) & set(PRETRAINED):
        options.error("the pretrained recipes need --backbone")
    results: dict[str, Any] = {}
    for seed in arguments.seeds:
        for side in sides:
            recipe = recipe_of(side, seed, arguments.backbone, arguments.changes)
            metrics = finetuned(arguments.data, arguments.runs / f"{side}-s{seed}", recipe)
            results.setdefault(side, {"runs": []})["runs"].append(metrics)
    for side, result in results.items():
        results[side] = result | summary(result["runs"])
    rows = [
        [side, *(str(run[name]) for name in ("seed", "val_top1_percent", "val_top5_percent", "hours"))]
        for side, result in results.items()
        for run in result["runs"]
    ]
    print(table(["recipe", "seed", "val top-1 %", "top-5 %", "hours"], rows))
    data, changes = arguments.data.name, arguments.changes
    write(arguments.out, "cars_recipes", data=data, changes=changes, results=results)


if __name__ == "__main__":
    main()
