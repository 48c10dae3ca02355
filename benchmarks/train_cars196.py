"""Trains the weights that ship with lightcars, and writes them with their card.

`OMP_NUM_THREADS=1 python benchmarks/train_cars196.py --data cars196 --runs runs/cars196` trains the recipe
`cars-scratch` with its seed, then `cars-longer` from the weights of that run and `cars-last` from the weights
of this one (or goes on where it was stopped), and then, on `val` where nothing else is said:

* picks the resolution: crops make cars look larger in training than they are in whole photographs, so a
  larger one is better there (Touvron et al., "Fixing the train-test resolution discrepancy", arXiv
  1906.06423);
* picks the batch norms' statistics: those of the training, or new ones from the whole photographs of `train`
  at that resolution. Of what is within one standard error of the best top-1 the smallest resolution is taken
  (Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3);
* silences channels that died;
* fits temperature and familiarity;
* judges the weights as they ship, rounded to half precision.

What has been done is not done again. The folder `--out` is what `lightcars.save_pretrained` writes; the
figures go to results/train_cars196.json too. `val` made the choices, so its top-1 is a little too good.
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
from cars_recipes import hours
from lightcars.data.dataset import DecodedImages, decode
from lightcars.data.layouts import DatasetRecords, find_data
from lightcars.evaluation.analysis import classes_by_difficulty, reliability
from lightcars.evaluation.batch_norms import settle_batch_norms
from lightcars.evaluation.predictions import Predictions, predict_images
from lightcars.evaluation.temperature import calibrate
from lightcars.models.validation import change_config
from lightcars.recipes.files import load_recipe
from lightcars.recipes.recipe import flat
from lightcars.runs.trained import TrainedModel, load_trained
from lightcars.weights.locate import SHIPPED
from ratios import rounded
from record import RESULTS, machine, write

RESOLUTIONS = (1.0, 1.125, 1.25, 1.375, 1.5)
"""Tried on `val`, as parts of the training's."""
MULTIPLE_OF = 16
LICENCE = "non-commercial"
STATISTICS = {
    False: "kept (new ones were no better there on val)",
    True: "taken anew, from the whole photographs of the training at the resolution of use",
}
NOTES = """\
The car should fill the picture: these weights have seen photographs that were cut to the cars' boxes. Uncut
photographs of the same cars were not at hand, so what they do there was not measured.

After the training the batch norms' statistics were {statistics}, and channels
that had died were silenced (`lightcars.evaluation.batch_norms`).

Use: non-commercial research only, as the photographs of Stanford Cars that they were trained on. The code is
under the Apache License 2.0.

`lightcars predict photo.jpg` takes them, and so does `lightcars.ghostnet(weights="cars196")`.
"""


def photos_at(trained: TrainedModel, cars: DatasetRecords, split: str, side: int) -> DecodedImages:
    return decode(
        cars.split(split), replace(trained.preprocessing, resolution=side), name=split, progress=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A side, whether the statistics are taken anew at it, and the top-1 of `val` with both."""

    side: int
    anew: bool
    top1_percent: float


def settled(
    trained: TrainedModel, train: DecodedImages, side: int, *, anew: bool
) -> tuple[TrainedModel, int]:
    """A copy for one side with one kind of statistics, and how many channels were silenced."""
    preprocessing = replace(trained.preprocessing, resolution=side)
    copied = replace(trained, model=copy.deepcopy(trained.model), preprocessing=preprocessing)
    return copied, settle_batch_norms(copied, train, statistics=anew)


def choices(trained: TrainedModel, cars: DatasetRecords) -> list[Choice]:
    """What each side and each kind of statistics give."""
    own = trained.preprocessing.resolution
    found = []
    for side in sorted({round(own * part / MULTIPLE_OF) * MULTIPLE_OF for part in RESOLUTIONS}):
        train, val = (photos_at(trained, cars, split, side) for split in ("train", "val"))
        for anew in (False, True):
            copied, _ = settled(trained, train, side, anew=anew)
            top1 = predict_images(copied, val, cars.root).top1_percent
            found.append(Choice(side=side, anew=anew, top1_percent=top1))
    return found


def chosen(found: Sequence[Choice], photographs: int) -> Choice:
    """The smallest side whose top-1 of so many photographs is as good as the best, to one standard error.

    Of the statistics, the better ones there.
    """
    best = max(choice.top1_percent for choice in found)
    good = best - math.sqrt(best * (100 - best) / photographs)
    side = min(choice.side for choice in found if choice.top1_percent >= good)
    return max((each for each in found if each.side == side), key=lambda each: each.top1_percent)


def figures_of(predictions: Predictions, uncalibrated: Predictions) -> dict[str, Any]:
    return {
        "val_top1_percent": rounded(predictions.top1_percent),
        "val_top5_percent": rounded(predictions.top5_percent),
        "val_calibration_error": rounded(reliability(predictions).error),
        "val_calibration_error_before": rounded(reliability(uncalibrated).error),
    }


def trained_in_turn(given: argparse.Namespace) -> list[Path]:
    """The runs of the recipes, in turn, each from the best weights of the one before."""
    runs: list[Path] = []
    for name in given.recipes:
        folder = given.runs / f"{len(runs) + 1}-{Path(name).stem}"
        if not (folder / "metrics.json").is_file():
            weights = [f"model.weights={runs[-1].resolve()}"] if runs else []
            recipe = load_recipe(name, [*weights, *given.changes])
            resume = (folder / "run.json").exists()
            lightcars.finetune(given.data, recipe=recipe, out=folder, resume=resume, progress=True)
        runs.append(folder)
    return runs


def hours_of(run: Path) -> float:
    with (run / "metrics.csv").open(newline="") as file:
        return hours([float(row["seconds"]) for row in csv.DictReader(file)])


def described(runs: Sequence[Path]) -> dict[str, Any]:
    """The settings of the first run, and for each later one those that are others there."""
    first, *later = (flat(json.loads((run / "run.json").read_text())["recipe"]) for run in runs)
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
    options.add_argument("--runs", type=Path, required=True, help="folder of the training's runs")
    options.add_argument(
        "--recipes", nargs="+", default=["cars-scratch", "cars-longer", "cars-last"], help="in turn"
    )
    options.add_argument("--set", dest="changes", action="append", default=[], help="change all recipes")
    options.add_argument("--out", type=Path, default=SHIPPED / "cars196")
    options.add_argument("--results", type=Path, default=RESULTS / "train_cars196.json")
    given = options.parse_args()
    runs = trained_in_turn(given)
    recipe = described(runs)
    trained, cars = load_trained(runs[-1]), find_data(given.data)
    tried = choices(trained, cars)
    choice = chosen(tried, len(cars.split("val")))
    train, val = (photos_at(trained, cars, split, choice.side) for split in ("train", "val"))
    trained, silenced = settled(trained, train, choice.side, anew=choice.anew)
    trained.model.half().float()  # as they ship
    before = predict_images(trained, val, cars.root)
    calibrate(trained, train, val)
    predictions = predict_images(trained, val, cars.root)
    figures = figures_of(predictions, before)
    threads = torch.get_num_threads()
    took = rounded(sum(map(hours_of, runs)))
    epochs = sum(len((run / "metrics.csv").read_text().splitlines()) - 1 for run in runs)
    worst = [
        {"name": row.name, "photographs": row.num_images, "top1_percent": rounded(row.top1_percent)}
        for row in (hard.figures for hard in classes_by_difficulty(predictions)[:10])
    ]
    record = {
        "data": f"{given.data.name}: {len(train.labels)} photographs to train, {len(val.labels)} in val",
        "seed": recipe["seed"],
        "epochs": epochs,
        "hours": took,
        "threads": threads,
        "resolution": choice.side,
        "batch_norms": "taken anew" if choice.anew else "of the training",
        "val_top1_percent_by_resolution": {
            kind: {str(each.side): rounded(each.top1_percent) for each in tried if each.anew is anew}
            for kind, anew in (("of the training", False), ("taken anew", True))
        },
        "silenced_channels": silenced,
        "temperature": trained.model.temperature,
        **figures,
        "worst_classes": worst,
    }
    trained.model.preprocessing = trained.preprocessing
    trained.model.config = change_config(trained.model.config, {"resolution": choice.side})
    card = lightcars.Training(
        data=f"Stanford Cars: {len(train.labels)} of the training photographs, cut to their boxes;"
        f" {len(val.labels)} others (val) chose epochs, resolution, batch norms' statistics and what the"
        " later runs changed, and fitted temperature and familiarity; so the figures are a little too good.",
        recipe=recipe | {"machine": described_machine(), "threads": threads, "hours": took},
        metrics=figures | {"epochs": epochs},
        licence=LICENCE,
        notes=NOTES.replace("{statistics}", STATISTICS[choice.anew])
        + "\nWorst classes of val:\n\n"
        + worst_table(worst),
    )
    lightcars.save_pretrained(trained.model.half(), given.out, training=card)
    write(given.results, "train_cars196", **record)
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
