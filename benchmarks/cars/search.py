"""How much does each change of the recipe gain, from random weights on Stanford Cars?

The baselines are the thesis's C-50 with its milestones scaled to 30 epochs, and `search-start.yaml`. Each
trial of TRIALS is one of these with one change, or a combination of the changes that helped.

Method: whole fine-tunes with `lightcars.finetune`, at 112 px unless the trial says otherwise, one process
of one thread each, several at a time (`--jobs`). The metric is `val` top-1 of the epoch that `val` selected.
Finished runs are not repeated, and interrupted ones are resumed. Metrics of earlier runs that are not in the
folder stay in the results.
`python -m benchmarks.cars.search --data cars196 --runs runs/search` runs what is missing; a quarter of an
hour on one core for each trial and seed. `--only` selects trials.

Reading: seeds differ by a few points; a smaller difference between single runs is not significant.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.harness.finetunes import (
    C50_CHANGES,
    PINNED,
    SCALED_MILESTONES,
    START,
    digest,
    earlier_results,
    finetuned,
    summary,
)
from benchmarks.harness.ratios import table
from benchmarks.harness.record import RESULTS, write
from lightcars.recipes.files import load_recipe
from lightcars.recipes.recipe import Recipe

MIXES = "augment.batches=[{MixUp: {alpha: 0.2}}, {CutMix: {alpha: 1.0}}]"
ERASING = "augment.tensors=[{RandomErasing: {p: 0.25}}]"


def crops(scale: float, colors: str = "ColorJitter") -> str:
    """Return the per-image augmentation: random crops of at least `scale`, and the change of colors."""
    settings = {
        "ColorJitter": "{brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.05}",
        "TrivialAugmentWide": "{}",
    }
    return (
        f"augment.images=[{{RandomResizedCrop: {{scale: [{scale}, 1.0], ratio: [0.8, 1.25]}}}},"
        f" {{RandomHorizontalFlip: {{p: 0.5}}}}, {{{colors}: {settings[colors]}}}]"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One row of the search.

    Attributes:
        says: a description for the table.
        changes: changes of the starting recipe, as `--set` takes them.
        start: the starting recipe.
        teacher: the trial whose run with the same seed is the teacher.
        continues: the trial with whose weights, of the same seed, training starts.
    """

    says: str
    changes: tuple[str, ...] = ()
    start: str = START
    teacher: str | None = None
    continues: str | None = None

    @property
    def needs(self) -> str | None:
        """The trial that has to run first."""
        return self.teacher or self.continues


TRIALS = {
    "c-50": Trial(says="the thesis's C-50, scaled", start="c-50", changes=tuple(C50_CHANGES)),
    "start": Trial(says="Muon, cosine, crops from 50 % of the image, weak color jitter"),
    "crop-25": Trial(says="crops from 25 %", changes=(crops(0.25),)),
    "trivial": Trial(
        says="TrivialAugment instead of color jitter", changes=(crops(0.5, "TrivialAugmentWide"),)
    ),
    "mix": Trial(says="MixUp 0.2 or CutMix 1.0 in each batch", changes=(MIXES,)),
    "erasing": Trial(says="random erasing of a quarter of the images", changes=(ERASING,)),
    "ema": Trial(says="EMA of the weights, 0.998", changes=("ema_decay=0.998",)),
    "official": Trial(
        says="the official GhostNet, 1,280 channels",
        changes=("model.name=ghostnet_100", "model.settings={dropout: 0.2}"),
    ),
    "out-1280": Trial(
        says="1,280 channels before the classifier",
        changes=("model.settings={out_channels: 1280, dropout: 0.2}",),
    ),
    "drop-path": Trial(
        says="stochastic depth, up to 0.1 in the last block",
        changes=("model.settings={out_channels: 320, dropout: 0.2, drop_path: 0.1}",),
    ),
    "steps": Trial(
        says="learning rate in C-50's four steps instead of a cosine",
        changes=(
            "schedule.name=MultiStepLR",
            "schedule.warmup_epochs=0",
            f"schedule.settings={{gamma: 0.1, milestones: {SCALED_MILESTONES}}}",
        ),
    ),
    "decay-20": Trial(says="weight decay 0.2 instead of 0.05", changes=("optimizer.weight_decay=0.2",)),
    "decay-50": Trial(says="weight decay 0.5", changes=("optimizer.weight_decay=0.5",)),
    "progressive": Trial(
        says="progressive resizing from 64 px", changes=("progressive={start_resolution: 64}",)
    ),
    "px-144": Trial(says="144 px", changes=("resolution=144", "decode_resolution=160")),
    "epochs-60": Trial(says="60 epochs", changes=("epochs=60",)),
    "b0": Trial(
        says="EfficientNet-B0, the teacher of `distilled`",
        changes=("model.name=efficientnet_b0", "model.settings={dropout: 0.2}"),
    ),
    "distilled": Trial(says="distillation from `b0`, half of the loss, temperature 2", teacher="b0"),
    "cars-scratch": Trial(
        start="cars-scratch",
        says="the first of the runs behind `cars196-ghostnet`: crops from 30 %, stronger color jitter,"
        " erasing, MixUp and CutMix, EMA, progressive resizing, 130 epochs",
    ),
    "cars-longer": Trial(
        start="cars-longer",
        says="starts from the weights of `cars-scratch`: 120 epochs, images up to 128 px",
        continues="cars-scratch",
    ),
    "cars-last": Trial(
        start="cars-last",
        says="starts from the weights of `cars-longer`: 50 epochs, weight decay 0.2",
        continues="cars-longer",
    ),
    "easy-first": Trial(
        start="cars-longer",
        says="the recipe of `cars-longer` from the weights of `decay-50`, with its weight decay",
        changes=("optimizer.weight_decay=0.5",),
        continues="decay-50",
    ),
    "b0-longer": Trial(
        start="cars-longer",
        says="EfficientNet-B0, from the weights of `b0`, with the recipe of `cars-longer` in 70 epochs: both"
        " runs together take as many hours as the GhostNet's",
        changes=("model.name=efficientnet_b0", "model.settings={dropout: 0.2}", "epochs=70"),
        continues="b0",
    ),
}


def recipe_of(runs: Path, name: str, seed: int, changes: Sequence[str]) -> Recipe:
    trial = TRIALS[name]
    before = trial.needs and folder_of(runs, trial.needs, seed).resolve()
    own = list(trial.changes)
    own += [f"distillation={{teacher: {before}}}"] if trial.teacher else []
    own += [f"model.weights={before}"] if trial.continues else []
    return load_recipe(trial.start, [*PINNED, "precision=bf16-mixed", *own, *changes, f"seed={seed}"])


def folder_of(runs: Path, name: str, seed: int) -> Path:
    return runs / f"{name}-s{seed}"


def in_turns(wanted: Sequence[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    """Sort the wanted trials, and those that they need, into turns; each runs after what it needs."""
    sorter: TopologicalSorter[tuple[str, int]] = TopologicalSorter()
    for trial, seed in wanted:
        name, before = trial, TRIALS[trial].needs
        sorter.add((name, seed))
        while before is not None:
            sorter.add((name, seed), (before, seed))
            name, before = before, TRIALS[before].needs
    sorter.prepare()
    turns = []
    while sorter.is_active():
        turns.append(list(sorter.get_ready()))
        sorter.done(*turns[-1])
    return turns


def train_all(arguments: argparse.Namespace, wanted: Sequence[tuple[str, int]]) -> None:
    """Run each wanted trial in a separate process, `--jobs` at a time."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def child(trial: tuple[str, int]) -> int:
        name, seed = trial
        command = [
            sys.executable,
            "-m",
            __spec__.name,
            "--data",
            str(arguments.data),
            "--runs",
            str(arguments.runs),
        ]
        command += [f"--set={change}" for change in arguments.changes]
        command += ["--child", "--only", name, "--seeds", str(seed)]
        arguments.runs.mkdir(parents=True, exist_ok=True)
        with (arguments.runs / f"{name}-s{seed}.log").open("a") as log:
            return subprocess.run(command, stdout=log, stderr=log, env=environment, check=False).returncode

    for turn in in_turns(wanted):
        with ThreadPoolExecutor(arguments.jobs) as pool:
            codes = dict(zip(turn, pool.map(child, turn), strict=True))
        failed = [f"{name}-s{seed}" for (name, seed), code in codes.items() if code]
        if failed:
            raise SystemExit(f"{', '.join(failed)} failed; see the .log files in {arguments.runs}.")


def collected(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the metrics of all trials with a finished run, also of those that were not asked for now.

    Runs of earlier results stay if the folder has none of that seed and the recipe has not changed.
    """
    results: dict[str, Any] = {}
    earlier = earlier_results(arguments.out, arguments.data.name, arguments.changes)
    for name, trial in TRIALS.items():
        ended = sorted(path.parent for path in arguments.runs.glob(f"{name}-s*/metrics.json"))
        seeds = [int(folder.name.rpartition("-s")[2]) for folder in ended]
        runs = []
        for seed, folder in zip(seeds, ended, strict=True):
            recipe = recipe_of(arguments.runs, name, seed, arguments.changes)
            metrics = finetuned(arguments.data, folder, recipe)
            day = datetime.fromtimestamp((folder / "metrics.json").stat().st_mtime, UTC)
            runs.append({**metrics, "date": day.strftime("%Y-%m-%d"), "recipe": digest(recipe)})
        for metrics in earlier.get(name, {"runs": []})["runs"]:
            if metrics["seed"] in seeds:
                continue
            if metrics["recipe"] == digest(
                recipe_of(arguments.runs, name, metrics["seed"], arguments.changes)
            ):
                runs.append(metrics)
            else:
                print(f"left out, because its recipe has changed: {name}, seed {metrics['seed']}")
        runs.sort(key=itemgetter("seed"))
        changes = [change for change in trial.changes if trial.start == START]
        if runs:
            results[name] = {"says": trial.says, "changes": changes, "runs": runs, **summary(runs)}
    return results


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="Stanford Cars, in any layout")
    options.add_argument("--runs", type=Path, required=True, help="folder of the run folders, TRIAL-sSEED")
    options.add_argument("--only", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    options.add_argument("--set", dest="changes", action="append", default=[], help="change every trial")
    options.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--out", type=Path, default=RESULTS / "cars_search.json")
    arguments = options.parse_args()
    wanted = [(name, seed) for seed in arguments.seeds for name in arguments.only]
    if arguments.child:
        for name, seed in wanted:
            recipe = recipe_of(arguments.runs, name, seed, arguments.changes)
            finetuned(arguments.data, folder_of(arguments.runs, name, seed), recipe)
        return
    train_all(arguments, wanted)
    results = collected(arguments)
    rows = [
        [
            result["says"],
            str(len(result["runs"])),
            str(result["val_top1_percent_mean"]),
            str(result["val_top1_percent_deviation"] or ""),
        ]
        for result in results.values()
    ]
    print(table(["trial", "seeds", "val top-1 %", "deviation"], rows))
    write(arguments.out, "cars_search", data=arguments.data.name, changes=arguments.changes, results=results)


if __name__ == "__main__":
    main()
