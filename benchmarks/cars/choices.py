"""What do the optimizer of `cars196` and the teacher of `cars196-ghostnet` gain?

Sides: three optimizers in a short fine-tune of EfficientNet-Lite0 from ImageNet weights
(`choices-pilot.yaml`); and the recipe `cars-distilled` with its teacher and without, from the same weights
(`--start`: for the recorded results, the GhostNet that version 0.1.0 shipped; `--teacher`: a run of
`cars-lite-longer`).

Method: whole fine-tunes with `lightcars.finetune` in bf16, one folder each under `--runs`; finished runs are
not repeated, and interrupted ones are resumed. Metrics on `val`, top-1 and top-5: of the epoch that `val`
selected, at the resolution of training; of the weights after the last epoch, at the same resolution; and of
these at about 1.2 times that, rounded to a multiple of 16. The last one is closest to how weights ship; for
those, resolution and batch norm statistics are selected too.
`OMP_NUM_THREADS=1 python -m benchmarks.cars.choices --data cars196 --runs runs/choices --start
runs/third --teacher runs/lite-longer` takes two hours on one core. `--only` selects sides; the others keep
their earlier results while their recipe is the same.

Reading: one seed each. Repetitions of the short runs differed by up to four points.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.harness.finetunes import PINNED, digest, earlier_results, finetuned
from benchmarks.harness.ratios import rounded, table
from benchmarks.harness.record import RESULTS, write
from lightcars.data.dataset import decode
from lightcars.data.layouts import find_data
from lightcars.evaluation.predictions import predict_images
from lightcars.recipes.files import load_recipe
from lightcars.recipes.recipe import Recipe
from lightcars.runs.trained import load_trained

PILOT = str(Path(__file__).with_name("choices-pilot.yaml"))
LARGER, MULTIPLE_OF = 1.2, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One row of the comparison.

    Attributes:
        says: a description for the table.
        changes: changes of the recipe, as `--set` takes them.
        recipe: the name or file of the recipe.
        continues: training starts from the weights of `--start`.
        teacher: `--teacher` is the teacher.
    """

    says: str
    changes: tuple[str, ...] = ()
    recipe: str = PILOT
    continues: bool = False
    teacher: bool = False


SIDES = {
    "adamw": Side(says="AdamW, learning rate 0.003 (backbone: 0.3 times that), weight decay 0.05"),
    "muon": Side(says="the same with Muon", changes=("optimizer.name=Muon",)),
    "sgd": Side(
        says="SGD with Nesterov momentum, learning rate 0.05 (backbone: 0.5 times that), weight decay 0.0002",
        changes=(
            "optimizer.name=SGD",
            "optimizer.lr=0.05",
            "optimizer.weight_decay=0.0002",
            "optimizer.backbone_lr_factor=0.5",
            "optimizer.settings={momentum: 0.9, nesterov: true}",
        ),
    ),
    "distilled": Side(says="`cars-distilled`", recipe="cars-distilled", continues=True, teacher=True),
    "labels": Side(
        says="`cars-distilled` without the teacher",
        recipe="cars-distilled",
        changes=("distillation=null",),
        continues=True,
    ),
}


def recipe_of(
    name: str, start: Path | None = None, teacher: Path | None = None, changes: Sequence[str] = ()
) -> Recipe:
    """Return the recipe of a side.

    Raises:
        SystemExit: it needs weights that are not given.
    """
    side = SIDES[name]
    if (side.continues and start is None) or (side.teacher and teacher is None):
        raise SystemExit(
            f"{name} needs --start{' and --teacher' if side.teacher else ''}; --only selects others."
        )
    own = [*side.changes]
    own += [f"model.weights={start.resolve()}"] if side.continues and start else []
    own += [f"distillation.teacher={teacher.resolve()}"] if side.teacher and teacher else []
    return load_recipe(side.recipe, [*PINNED, "precision=bf16-mixed", *own, *changes])


def larger(resolution: int) -> int:
    """Return about LARGER times the resolution.

    >>> larger(96), larger(176)
    (112, 208)
    """
    return round(resolution * LARGER / MULTIPLE_OF) * MULTIPLE_OF


def last_weights(data: Path, folder: Path) -> list[dict[str, Any]]:
    """Evaluate the weights after the last epoch on `val`, at the resolution of training and a larger one."""
    cars, trained = find_data(data), load_trained(folder / "last")
    found = []
    for resolution in (trained.preprocessing.resolution, larger(trained.preprocessing.resolution)):
        resized = replace(trained, preprocessing=replace(trained.preprocessing, resolution=resolution))
        val = decode(cars.split("val"), resized.preprocessing, progress=True)
        predictions = predict_images(resized, val, cars.root)
        found.append(
            {
                "resolution": resolution,
                "val_top1_percent": rounded(predictions.top1_percent),
                "val_top5_percent": rounded(predictions.top5_percent),
            }
        )
    return found


def kept_results(out: Path, data: str, changes: Sequence[str]) -> dict[str, Any]:
    """Return the earlier results of the same data, changes and recipes."""
    kept, unused = {}, Path()  # digests leave out the weights
    for name, row in earlier_results(out, data, changes).items():
        if name in SIDES and row["recipe"] == digest(recipe_of(name, unused, unused, changes)):
            kept[name] = row
        else:
            print(f"left out, because its recipe has changed: {name}")
    return kept


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="Stanford Cars, in any layout")
    options.add_argument("--runs", type=Path, required=True, help="folder of the run folders")
    options.add_argument("--only", nargs="+", choices=list(SIDES), default=list(SIDES))
    options.add_argument("--start", type=Path, help="weights from which the GhostNets start")
    options.add_argument("--teacher", type=Path, help="the teacher of `distilled`")
    options.add_argument("--set", dest="changes", action="append", default=[], help="change every side")
    options.add_argument("--out", type=Path, default=RESULTS / "cars_choices.json")
    arguments = options.parse_args()
    data, changes = arguments.data, arguments.changes
    recipes = {name: recipe_of(name, arguments.start, arguments.teacher, changes) for name in arguments.only}
    results = kept_results(arguments.out, data.name, changes)
    for name, recipe in recipes.items():
        folder = arguments.runs / name
        metrics = finetuned(data, folder, recipe)
        shape = {"model": recipe.model.name, "resolution": recipe.resolution, "epochs": recipe.epochs}
        results[name] = {
            "says": SIDES[name].says,
            **shape,
            **metrics,
            "last_epoch": last_weights(data, folder),
            "recipe": digest(recipe),
        }
        kept = {each: results[each] for each in SIDES if each in results}
        write(arguments.out, "cars_choices", data=data.name, changes=changes, results=kept)
    columns = ("val_top1_percent", "val_top5_percent", "hours")
    rows = [
        [
            name,
            *(str(row[column]) for column in columns),
            ", ".join(f"{last['val_top1_percent']} ({last['resolution']} px)" for last in row["last_epoch"]),
        ]
        for name, row in results.items()
    ]
    print(table(["side", "best epoch: val top-1 %", "top-5 %", "hours", "last epoch: top-1 %"], rows))


if __name__ == "__main__":
    main()
