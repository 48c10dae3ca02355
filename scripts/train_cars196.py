"""Train the shipped weights `cars196`, and write them with their model card.

`OMP_NUM_THREADS=1 python -m scripts.train_cars196 --data cars196 --runs runs/cars196` trains the recipe
`cars-scratch`, then `cars-longer` from the weights of that run, then `cars-last` from the weights of the
second run (or resumes where it was interrupted). After that, on `val` unless stated otherwise, it

* selects the resolution: random crops make cars look larger in training than they are in whole images, so a
  larger resolution is better at inference (Touvron et al., "Fixing the train-test resolution discrepancy",
  arXiv 1906.06423);
* selects the batch norm statistics: those of training, or statistics re-estimated on the whole images of
  `train` at that resolution. The smallest resolution within one standard error of the best top-1 is taken
  (Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3);
* silences dead channels;
* fits the temperature and the out-of-distribution detector (`familiarity`);
* evaluates the weights as they ship, rounded to half precision.

Finished steps are not repeated. The folder `--out` is what `lightcars.save_pretrained` writes; the metrics
are also written to benchmarks/results/train_cars196.json. Since `val` made the choices, its top-1 is
optimistic.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import lightcars
from benchmarks.harness.finetunes import hours
from benchmarks.harness.ratios import rounded
from benchmarks.harness.record import RESULTS, machine, write
from lightcars.data.dataset import DecodedImages, decode
from lightcars.data.layouts import DatasetRecords, find_data
from lightcars.evaluation.analysis import classes_by_difficulty, reliability
from lightcars.evaluation.batch_norms import settle_batch_norms
from lightcars.evaluation.predictions import Predictions, predict_images
from lightcars.evaluation.temperature import calibrate
from lightcars.models.validation import change_config
from lightcars.recipes.files import load_recipe
from lightcars.recipes.recipe import flat
from lightcars.runs.folder import RunFolder
from lightcars.runs.trained import TrainedModel, load_trained
from lightcars.weights.locate import SHIPPED

RESOLUTIONS = (1.0, 1.125, 1.25, 1.375, 1.5)
"""Resolutions tried on `val`, relative to that of training."""
MULTIPLE_OF = 16
LICENSE = "non-commercial"
STATISTICS = {
    False: "kept (re-estimated ones were not better on val)",
    True: "re-estimated on the whole images of the training split at the resolution of inference",
}
NOTES = """\
These weights were trained on photographs cropped to the cars' bounding boxes, so the car has to fill the
image. In other photographs, `lightcars predict` finds the car first; without this step, the accuracy is much
lower.

After training, the batch norm statistics were {statistics}, and dead channels
were set to zero (`lightcars.evaluation.batch_norms`).

The weights are for non-commercial research only, like the photographs of Stanford Cars that they were trained
on. The code is under the Apache License 2.0.

`lightcars predict photo.jpg` and `lightcars.ghostnet(weights="cars196")` use these weights.
"""


def images_at(trained: TrainedModel, cars: DatasetRecords, split: str, side: int) -> DecodedImages:
    return decode(
        cars.split(split), replace(trained.preprocessing, resolution=side), name=split, progress=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A resolution, whether the batch norm statistics are re-estimated at it, and the top-1 on `val`."""

    side: int
    reestimated: bool
    top1_percent: float


def settled(
    trained: TrainedModel, train: DecodedImages, side: int, *, reestimated: bool
) -> tuple[TrainedModel, int]:
    """Return a copy for one resolution and one kind of statistics, and the number of silenced channels."""
    preprocessing = replace(trained.preprocessing, resolution=side)
    copied = replace(trained, model=copy.deepcopy(trained.model), preprocessing=preprocessing)
    return copied, settle_batch_norms(copied, train, statistics=reestimated)


def choices(trained: TrainedModel, cars: DatasetRecords) -> list[Choice]:
    """Evaluate each resolution with each kind of statistics."""
    own = trained.preprocessing.resolution
    found = []
    for side in sorted({round(own * part / MULTIPLE_OF) * MULTIPLE_OF for part in RESOLUTIONS}):
        train, val = (images_at(trained, cars, split, side) for split in ("train", "val"))
        for reestimated in (False, True):
            copied, _ = settled(trained, train, side, reestimated=reestimated)
            top1 = predict_images(copied, val, cars.root).top1_percent
            found.append(Choice(side=side, reestimated=reestimated, top1_percent=top1))
    return found


def chosen(tried: Sequence[Choice], num_images: int) -> Choice:
    """Return the smallest resolution whose top-1 is within one standard error of the best.

    Of both kinds of statistics, the better one at that resolution.
    """
    best = max(choice.top1_percent for choice in tried)
    good = best - math.sqrt(best * (100 - best) / num_images)
    side = min(choice.side for choice in tried if choice.top1_percent >= good)
    return max((each for each in tried if each.side == side), key=lambda each: each.top1_percent)


def metrics_of(predictions: Predictions, uncalibrated: Predictions) -> dict[str, Any]:
    return {
        "val_top1_percent": rounded(predictions.top1_percent),
        "val_top5_percent": rounded(predictions.top5_percent),
        "val_calibration_error": rounded(reliability(predictions).error),
        "val_calibration_error_before": rounded(reliability(uncalibrated).error),
    }


def trained_in_turn(arguments: argparse.Namespace) -> list[Path]:
    """Train the recipes in turn, each from the best weights of the run before; return the run folders."""
    runs: list[Path] = []
    for name in arguments.recipes:
        folder = arguments.runs / f"{len(runs) + 1}-{Path(name).stem}"
        if not (folder / "metrics.json").is_file():
            weights = [f"model.weights={runs[-1].resolve()}"] if runs else []
            recipe = load_recipe(name, [*weights, *arguments.changes])
            resume = RunFolder(folder).description.exists()
            lightcars.finetune(arguments.data, recipe=recipe, out=folder, resume=resume, progress=True)
        runs.append(folder)
    return runs


def hours_of(run: Path) -> float:
    with (run / "metrics.csv").open(newline="") as file:
        return hours([float(row["seconds"]) for row in csv.DictReader(file)])


def described(runs: Sequence[Path]) -> dict[str, Any]:
    """Return the settings of the first run and, for each later run, the settings that changed."""
    first, *later = (flat(RunFolder(run).read().recipe.to_dict()) for run in runs)
    found, before = dict(first), first
    for number, recipe in enumerate(later, 2):
        changed = {key: value for key, value in recipe.items() if before.get(key) != value}
        changed["model.weights"] = f"of run {number - 1}"
        found |= {f"run {number}: {key}": value for key, value in changed.items()}
        before = recipe
    return found


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="Stanford Cars, in any layout")
    options.add_argument("--runs", type=Path, required=True, help="folder of the training runs")
    options.add_argument(
        "--recipes", nargs="+", default=["cars-scratch", "cars-longer", "cars-last"], help="trained in turn"
    )
    options.add_argument("--set", dest="changes", action="append", default=[], help="change all recipes")
    options.add_argument("--out", type=Path, default=SHIPPED / "cars196")
    options.add_argument("--results", type=Path, default=RESULTS / "train_cars196.json")
    arguments = options.parse_args()
    runs = trained_in_turn(arguments)
    recipe = described(runs)
    trained, cars = load_trained(runs[-1]), find_data(arguments.data)
    tried = choices(trained, cars)
    choice = chosen(tried, len(cars.split("val")))
    train, val = (images_at(trained, cars, split, choice.side) for split in ("train", "val"))
    trained, silenced = settled(trained, train, choice.side, reestimated=choice.reestimated)
    trained.model.half().float()  # as they ship
    before = predict_images(trained, val, cars.root)
    calibrate(trained, train, val)
    predictions = predict_images(trained, val, cars.root)
    metrics = metrics_of(predictions, before)
    threads = torch.get_num_threads()
    took = rounded(sum(map(hours_of, runs)))
    epochs = sum(len((run / "metrics.csv").read_text().splitlines()) - 1 for run in runs)
    worst = [
        {"name": row.name, "photographs": row.num_images, "top1_percent": rounded(row.top1_percent)}
        for row in (hard.figures for hard in classes_by_difficulty(predictions)[:10])
    ]
    record = {
        "data": f"{arguments.data.name}: {len(train.labels)} photographs in train, {len(val.labels)} in val",
        "seed": recipe["seed"],
        "epochs": epochs,
        "hours": took,
        "threads": threads,
        "resolution": choice.side,
        "batch_norms": "taken anew" if choice.reestimated else "of the training",
        "val_top1_percent_by_resolution": {
            kind: {
                str(each.side): rounded(each.top1_percent)
                for each in tried
                if each.reestimated is reestimated
            }
            for kind, reestimated in (("of the training", False), ("taken anew", True))
        },
        "silenced_channels": silenced,
        "temperature": trained.model.temperature,
        **metrics,
        "worst_classes": worst,
    }
    trained.model.preprocessing = trained.preprocessing
    trained.model.config = change_config(trained.model.config, {"resolution": choice.side})
    card = lightcars.Training(
        data=f"Stanford Cars: {len(train.labels)} of the training photographs, cropped to their bounding"
        f" boxes; {len(val.labels)} others (val) were used to select epochs, resolution, batch norm"
        " statistics and the changes of the later runs, and to fit the temperature and the"
        " out-of-distribution detector, so the metrics are optimistic.",
        recipe=recipe | {"machine": described_machine(), "threads": threads, "hours": took},
        metrics=metrics | {"epochs": epochs},
        license=LICENSE,
        notes=NOTES.replace("{statistics}", STATISTICS[choice.reestimated])
        + "\nWorst classes on val:\n\n"
        + worst_table(worst),
    )
    lightcars.save_pretrained(trained.model.half(), arguments.out, training=card)
    write(arguments.results, "train_cars196", **record)
    print(json.dumps({key: value for key, value in record.items() if key != "worst_classes"}, indent=2))


def described_machine() -> str:
    found = machine()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{found['cpu']}, {found['cores']} cores{gpu}"


def worst_table(worst: list[dict[str, Any]]) -> str:
    rows = [f"| {row['name']} | {row['photographs']} | {row['top1_percent']:g} % |" for row in worst]
    return "\n".join(["| class | photographs | top-1 |", "|---|---:|---:|", *rows]) + "\n"


if __name__ == "__main__":
    main()
