"""Train the shipped weights `cars196` or `cars196-ghostnet`, and write them with their model card.

`OMP_NUM_THREADS=1 python -m scripts.train_cars196 --data cars196 --runs runs/cars196` trains the recipe
`cars-lite`, then `cars-lite-longer`, `cars-lite-blurred` and `cars-lite-last`, each from the weights of the
run before (`cars-lite-last` from its last ones, the others from its best ones), or resumes where it was
interrupted. `--model ghostnet_thesis` trains `cars-scratch`, `cars-longer`, `cars-last` and `cars-distilled`.
After that, with the weights after the last epoch, on `val` unless stated otherwise, it

* selects the resolution: random crops make cars look larger in training than they are in whole images, so a
  larger resolution can be better at inference (Touvron et al., "Fixing the train-test resolution
  discrepancy", arXiv 1906.06423);
* selects the batch norm statistics: those of training, or statistics re-estimated on whole images of `train`
  at that resolution;
* sets dead channels to zero;
* fits the temperature and the out-of-distribution detector (`familiarity`);
* evaluates the weights as they ship, rounded to half precision.

Finished runs are not repeated. What `lightcars.save_pretrained` writes goes into the package
(`scripts/car_weights.py`), the metrics into benchmarks/results/ and the catalog; then
`python -m scripts.tables` updates the docs. Since `val` made the choices, its top-1 is optimistic.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lightcars
from benchmarks.harness.finetunes import hours
from benchmarks.harness.levels import levels
from benchmarks.harness.ratios import rounded
from benchmarks.harness.record import RESULTS, machine, write
from lightcars.data.dataset import DecodedImages, ImageDataset, decode
from lightcars.data.layouts import DatasetRecords, find_data
from lightcars.evaluation.analysis import classes_by_difficulty, reliability
from lightcars.evaluation.batch_norms import settle_batch_norms
from lightcars.evaluation.evaluate import logits_of
from lightcars.evaluation.predictions import Predictions, predict_images, predictions_from
from lightcars.evaluation.temperature import calibrate
from lightcars.models.validation import change_config
from lightcars.recipes.files import load_recipe
from lightcars.recipes.recipe import flat
from lightcars.runs.folder import RunFolder
from lightcars.runs.trained import TrainedModel, load_trained
from scripts.car_weights import CAR_WEIGHTS, LICENSE, CarWeights, write_measured

MULTIPLE_OF = 16
LAST = "last"
"""The checkpoint of a run that is finished: the learning rate has ended there, and `val` selects less."""
QUICK_STEP = 8
"""A quick test evaluates every 8th image of `val`."""
METRICS = ("top1_percent", "top5_percent", "calibration_error", "calibration_error_before")
"""Ends of the names of metrics on the card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A resolution, whether the batch norm statistics are re-estimated at it, and the top-1 on `val`."""

    side: int
    reestimated: bool
    top1_percent: float


@dataclass(frozen=True, slots=True)
class Finishing:
    """A trained model, its data, and how it is finished."""

    trained: TrainedModel
    cars: DatasetRecords
    weights: CarWeights

    def images(self, split: str, side: int, step: int = 1) -> DecodedImages:
        """Decode every `step`-th image of a split."""
        preprocessing = replace(self.trained.preprocessing, resolution=side)
        return decode(self.cars.split(split)[::step], preprocessing, name=split, progress=True)

    def settled(self, side: int) -> tuple[dict[bool, TrainedModel], int]:
        """Return copies with the statistics of training (False) and re-estimated ones (True).

        Also return the number of channels that are silenced in both.
        """
        preprocessing = replace(self.trained.preprocessing, resolution=side)
        own = dict(self.trained.model.named_buffers())
        reestimated, kept = (
            replace(self.trained, model=copy.deepcopy(self.trained.model), preprocessing=preprocessing)
            for _ in range(2)
        )
        train = self.images("train", side, self.weights.statistics_every)
        silenced = settle_batch_norms(reestimated, train)
        kept.model.load_state_dict(reestimated.model.state_dict() | own)
        return {False: kept, True: reestimated}, silenced

    def choices(self) -> dict[Choice, tuple[TrainedModel, int]]:
        """Evaluate each resolution with each kind of statistics; return what `settled` does for each."""
        own, found = self.trained.preprocessing.resolution, {}
        parts = self.weights.relative_resolutions
        for side in sorted({round(own * part / MULTIPLE_OF) * MULTIPLE_OF for part in parts}):
            val = self.images("val", side)
            copies, silenced = self.settled(side)
            for reestimated, copied in copies.items():
                top1 = predict_images(copied, val, self.cars.root).top1_percent
                choice = Choice(side=side, reestimated=reestimated, top1_percent=top1)
                found[choice] = copied, silenced
        return found


def chosen(tried: Sequence[Choice]) -> Choice:
    """Return the choice with the highest top-1; of equal ones that with the smallest resolution."""
    return max(tried, key=lambda choice: (choice.top1_percent, -choice.side))


def metrics_of(
    trained: TrainedModel, logits: Tensor, val: DecodedImages, predictions: Predictions
) -> dict[str, Any]:
    """Return accuracies, those of make and of make and model too, and the calibration error."""
    by_level = levels(trained, {"val": (logits, torch.from_numpy(val.labels))})
    return {
        "val_top1_percent": rounded(predictions.top1_percent),
        "val_top5_percent": rounded(predictions.top5_percent),
        **{f"val_{level}_top1_percent": by_level[level]["val"] for level in ("make", "model")},
        "val_calibration_error": rounded(reliability(predictions).error),
    }


def trained_in_turn(arguments: argparse.Namespace, from_last: Sequence[str] = ()) -> list[Path]:
    """Train the recipes in turn, each from the weights of the run before; return the run folders.

    Recipes in `from_last` start from the weights after the last epoch of that run, others from its best ones.
    """
    runs: list[Path] = []
    for name in arguments.recipes:
        folder = arguments.runs / f"{len(runs) + 1}-{Path(name).stem}"
        if not (folder / "metrics.json").is_file():
            checkpoint = LAST if Path(name).stem in from_last else ""
            weights = [f"model.weights={runs[-1].resolve() / checkpoint}"] if runs else []
            recipe = load_recipe(name, [*weights, *arguments.changes])
            if recipe.distillation is not None and arguments.teacher is not None:
                taught = replace(recipe.distillation, teacher=str(arguments.teacher.resolve()))
                recipe = replace(recipe, distillation=taught)
            resume = RunFolder(folder).description.exists()
            lightcars.finetune(arguments.data, recipe=recipe, out=folder, resume=resume, progress=True)
        runs.append(folder)
    return runs


def _column(run: Path, name: str) -> list[float]:
    """Return a column of metrics.csv, a number for each epoch."""
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def hours_of(run: Path) -> float:
    return hours(_column(run, "seconds"))


def of_training(runs: Sequence[Path], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Return seed, epochs and hours, and for each run recipe, resolution, hours, and top-1 on `val` by epoch.

    `earlier`: epochs and hours of the training of the initial weights, which are added.
    """
    recipes = [RunFolder(run).read().recipe for run in runs]
    by_run = [
        {
            "recipe": recipe.name,
            "resolution": recipe.resolution,
            "hours": rounded(hours_of(run)),
            "val_top1_percent_by_epoch": [rounded(top1) for top1 in _column(run, "val_top1_percent")],
        }
        for run, recipe in zip(runs, recipes, strict=True)
    ]
    return {
        "seed": recipes[0].seed,
        "epochs": earlier.get("epochs", 0) + sum(len(run["val_top1_percent_by_epoch"]) for run in by_run),
        "hours": rounded(earlier.get("hours", 0) + sum(map(hours_of, runs))),
        "runs": by_run,
    }


def described(runs: Sequence[Path]) -> dict[str, Any]:
    """Return the settings of the first run and, for each later run, the settings that changed."""
    first, *later = (flat(RunFolder(run).read().recipe.to_dict()) for run in runs)
    found, before = dict(first), first
    for number, recipe in enumerate(later, 2):
        changed = {key: value for key, value in recipe.items() if before.get(key) != value}
        epoch = "last epoch" if Path(recipe["model.weights"]).name == LAST else "best epoch"
        changed["model.weights"] = f"of run {number - 1}, {epoch}"
        found |= {f"run {number}: {key}": value for key, value in changed.items()}
        before = recipe
    return found


def by_resolution(tried: Sequence[Choice]) -> dict[str, dict[str, float]]:
    return {
        kind: {
            str(each.side): rounded(each.top1_percent) for each in tried if each.reestimated is reestimated
        }
        for kind, reestimated in (("of the training", False), ("taken anew", True))
    }


def worst_classes(predictions: Predictions) -> list[dict[str, Any]]:
    return [
        {"name": row.name, "photographs": row.num_images, "top1_percent": rounded(row.top1_percent)}
        for row in (hard.metrics for hard in classes_by_difficulty(predictions)[:10])
    ]


def finish(
    runs: Sequence[Path], data: Path, weights: CarWeights, earlier: Mapping[str, Any]
) -> tuple[TrainedModel, dict[str, Any]]:
    """Select, calibrate and evaluate the last run's model; return it with the record of results."""
    cars, threads = find_data(data), torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    finishing = Finishing(load_trained(runs[-1] / LAST), cars, weights)
    tried = finishing.choices()
    choice = chosen(list(tried))
    trained, silenced = tried[choice]
    trained.model.half().float()  # as they ship
    train, val = (finishing.images(split, choice.side) for split in ("train", "val"))
    logits = logits_of(trained, ImageDataset(val), 64)
    before = predictions_from(logits, trained, val, cars.root)
    calibrate(trained, train, val)
    predictions = predictions_from(logits, trained, val, cars.root)
    trained.model.preprocessing = trained.preprocessing
    trained.model.config = change_config(trained.model.config, {"resolution": choice.side})
    return trained, {
        "model": next(model for model, each in CAR_WEIGHTS.items() if each is weights),
        "parameters": lightcars.count_params(trained.model),
        "data": f"{data.name}: {len(train.labels)} photographs in train, {len(val.labels)} in val",
        "photographs": {"train": len(train.labels), "val": len(val.labels)},
        **of_training(runs, earlier),
        "threads": threads,
        "resolution": choice.side,
        "batch_norms": "taken anew" if choice.reestimated else "of the training",
        "val_top1_percent_by_resolution": by_resolution(list(tried)),
        "silenced_channels": silenced,
        "temperature": trained.model.temperature,
        **metrics_of(trained, logits, val, predictions),
        "val_calibration_error_before": rounded(reliability(before).error),
        "val_correct_of_every_8th": int(predictions.hits[::QUICK_STEP].sum()),
        "worst_classes": worst_classes(predictions),
    }


def card_of(recipe: Mapping[str, Any], record: Mapping[str, Any], weights: CarWeights) -> lightcars.Training:
    sizes = record["photographs"]
    metrics = {key: record[key] for key in record if key.startswith("val_") and key.endswith(METRICS)}
    return lightcars.Training(
        data=f"Stanford Cars: {sizes['train']} of the training photographs, cropped to their bounding"
        f" boxes; {sizes['val']} others (val) were used to select epochs, resolution, batch norm statistics"
        " and the changes of the later runs, and to fit the temperature and the out-of-distribution detector,"
        " so the metrics are optimistic.",
        recipe={
            **recipe,
            "machine": described_machine(),
            "threads": record["threads"],
            "hours": record["hours"],
        },
        metrics=metrics | {"epochs": record["epochs"]},
        license=LICENSE,
        notes=weights.notes(reestimated=record["batch_norms"] == "taken anew", worst=record["worst_classes"]),
    )


def described_machine() -> str:
    found = machine()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{found['cpu']}, {found['cores']} cores{gpu}"


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="Stanford Cars, in any layout")
    options.add_argument("--runs", type=Path, required=True, help="folder of the training runs")
    options.add_argument("--model", choices=list(CAR_WEIGHTS), default=next(iter(CAR_WEIGHTS)))
    options.add_argument("--recipes", nargs="+", help="trained in turn, instead of the model's")
    options.add_argument("--teacher", type=Path, help="run of the teacher; by default that of the recipe")
    options.add_argument(
        "--before", type=Path, help="results of the training of the initial weights, if its runs are gone"
    )
    options.add_argument("--set", dest="changes", action="append", default=[], help="change all recipes")
    arguments = options.parse_args()
    weights = CAR_WEIGHTS[arguments.model]
    arguments.recipes = arguments.recipes or weights.recipes
    runs = trained_in_turn(arguments, weights.from_last)
    earlier = json.loads(arguments.before.read_text(encoding="utf-8")) if arguments.before else {}
    trained, record = finish(runs, arguments.data, weights, earlier)
    lightcars.save_pretrained(
        trained.model.half(), weights.folder, training=card_of(described(runs), record, weights)
    )
    write(RESULTS / f"{weights.result}.json", "train_cars196", **record)
    write_measured()
    print(json.dumps({key: value for key, value in record.items() if key != "worst_classes"}, indent=2))


if __name__ == "__main__":
    main()
