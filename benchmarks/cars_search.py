"""What does each change of the recipe give, from fresh weights on Stanford Cars?

The starting lines are the thesis's C-50 with its milestones scaled to 30 epochs, and
`recipes/search-start.yaml`. Each trial of TRIALS is one of these with one change, or what was good of them
together.

Method: whole fine-tunes with `lightcars.finetune`, at 112 px if the trial does not say otherwise, one process
of one thread for each, several at a time (`--jobs`). The figure is `val` top-1 of the epoch that `val` chose.
What is in the folder of the runs already is not done again, and what was stopped goes on. Figures of earlier
runs, of which the folder has nothing, stay in the results.
`python benchmarks/cars_search.py --data cars196 --runs runs/search` does what is missing; a quarter of an
hour of a core for each trial and seed. `--only` picks trials.

Reading: seeds differ by a few points; a smaller difference of single runs means nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
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

from cars_recipes import FRESH, PINNED, SCALED, START, run, summary
from lightcars.recipes.aliases import old_key
from lightcars.recipes.files import load_recipe
from lightcars.recipes.recipe import Recipe, flat
from ratios import table
from record import RESULTS, write

NOT_COMPARED = ("seed", "model.weights", "distillation.teacher")
MIXES = "augment.batches=[{MixUp: {alpha: 0.2}}, {CutMix: {alpha: 1.0}}]"
ERASING = "augment.tensors=[{RandomErasing: {p: 0.25}}]"


def photos(scale: float, colours: str = "ColorJitter") -> str:
    """The changes of single photographs: crops of at least `scale`, and how colours change."""
    settings = {
        "ColorJitter": "{brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.05}",
        "TrivialAugmentWide": "{}",
    }
    return (
        f"augment.images=[{{RandomResizedCrop: {{scale: [{scale}, 1.0], ratio: [0.8, 1.25]}}}},"
        f" {{RandomHorizontalFlip: {{p: 0.5}}}}, {{{colours}: {settings[colours]}}}]"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One row of the search.

    Attributes:
        says: what is tried.
        changes: of the starting recipe, as `--set` takes them.
        start: the recipe that is changed.
        teacher: the trial whose run, of the same seed, is the teacher.
        goes_on_from: the trial whose weights, of the same seed, it starts with.
    """

    says: str
    changes: tuple[str, ...] = ()
    start: str = START
    teacher: str | None = None
    goes_on_from: str | None = None

    @property
    def needs(self) -> str | None:
        """The trial that comes before."""
        return self.teacher or self.goes_on_from


TRIALS = {
    "c-50": Trial(says="the thesis's C-50, scaled", start="c-50", changes=tuple(FRESH["c-50"][1])),
    "start": Trial(says="Muon, cosine, crops from 50 % of the photograph, weak colours"),
    "crop-25": Trial(says="crops from 25 %", changes=(photos(0.25),)),
    "trivial": Trial(says="TrivialAugment for the colours", changes=(photos(0.5, "TrivialAugmentWide"),)),
    "mix": Trial(says="MixUp 0.2 or CutMix 1.0 in each batch", changes=(MIXES,)),
    "erasing": Trial(says="random erasing of a quarter of the photographs", changes=(ERASING,)),
    "ema": Trial(says="average of weights, 0.998", changes=("ema_decay=0.998",)),
    "official": Trial(
        says="the official form, 1,280 channels",
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
        says="a rate that falls in C-50's four steps instead of a cosine",
        changes=(
            "schedule.name=MultiStepLR",
            "schedule.warmup_epochs=0",
            f"schedule.settings={{gamma: 0.1, milestones: {SCALED}}}",
        ),
    ),
    "decay-20": Trial(says="weight decay 0.2 instead of 0.05", changes=("optimizer.weight_decay=0.2",)),
    "decay-50": Trial(says="weight decay 0.5", changes=("optimizer.weight_decay=0.5",)),
    "progressive": Trial(says="photographs grow from 64 px", changes=("progressive={start_resolution: 64}",)),
    "px-144": Trial(says="144 px", changes=("resolution=144", "decode_resolution=160")),
    "epochs-60": Trial(says="60 epochs", changes=("epochs=60",)),
    "b0": Trial(
        says="EfficientNet-B0, the larger model that teaches `distilled`",
        changes=("model.name=efficientnet_b0", "model.settings={dropout: 0.2}"),
    ),
    "distilled": Trial(
        says="half of the loss from what `b0` answers (distillation, temperature 2)", teacher="b0"
    ),
    "cars-scratch": Trial(
        start="cars-scratch",
        says="the first of the three runs of the weights that ship: crops from 30 %, stronger colours,"
        " erasing, mixes, average of weights, growing photographs, 130 epochs",
    ),
    "cars-longer": Trial(
        start="cars-longer",
        says="goes on from the weights of `cars-scratch`: 120 epochs, photographs up to 128 px",
        goes_on_from="cars-scratch",
    ),
    "cars-last": Trial(
        start="cars-last",
        says="goes on from the weights of `cars-longer`: 50 epochs, weight decay 0.2",
        goes_on_from="cars-longer",
    ),
    "easy-first": Trial(
        start="cars-longer",
        says="the recipe of `cars-longer` from the weights of `decay-50`, with its weight decay",
        changes=("optimizer.weight_decay=0.5",),
        goes_on_from="decay-50",
    ),
    "b0-longer": Trial(
        start="cars-longer",
        says="EfficientNet-B0, from the weights of `b0`, by the recipe of `cars-longer` in 70 epochs: both"
        " runs together as many hours as the GhostNet's",
        changes=("model.name=efficientnet_b0", "model.settings={dropout: 0.2}", "epochs=70"),
        goes_on_from="b0",
    ),
}


def recipe_of(runs: Path, name: str, seed: int, changes: Sequence[str]) -> Recipe:
    trial = TRIALS[name]
    before = trial.needs and folder_of(runs, trial.needs, seed).resolve()
    own = list(trial.changes)
    own += [f"distillation={{teacher: {before}}}"] if trial.teacher else []
    own += [f"model.weights={before}"] if trial.goes_on_from else []
    return load_recipe(trial.start, [*PINNED, "precision=bf16-mixed", *own, *changes, f"seed={seed}"])


def folder_of(runs: Path, name: str, seed: int) -> Path:
    return runs / f"{name}-s{seed}"


def in_turns(wanted: Sequence[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    """The wanted trials and those that they need, each in a turn after what it needs."""
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


def train_all(given: argparse.Namespace, wanted: Sequence[tuple[str, int]]) -> None:
    """Every wanted trial in a process of its own, `--jobs` at a time."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def child(trial: tuple[str, int]) -> int:
        name, seed = trial
        command = [sys.executable, __file__, "--data", str(given.data), "--runs", str(given.runs)]
        command += [f"--set={change}" for change in given.changes]
        command += ["--child", "--only", name, "--seeds", str(seed)]
        given.runs.mkdir(parents=True, exist_ok=True)
        with (given.runs / f"{name}-s{seed}.log").open("a") as log:
            return subprocess.run(command, stdout=log, stderr=log, env=environment, check=False).returncode

    for turn in in_turns(wanted):
        with ThreadPoolExecutor(given.jobs) as pool:
            codes = dict(zip(turn, pool.map(child, turn), strict=True))
        failed = [f"{name}-s{seed}" for (name, seed), code in codes.items() if code]
        if failed:
            raise SystemExit(f"{', '.join(failed)} failed; see the .log files in {given.runs}.")


def collected(given: argparse.Namespace) -> dict[str, Any]:
    """The figures of every trial of which a run has ended, whatever was asked for now.

    Runs of earlier results stay, where the folder has none of that seed and the recipe is still the same.
    """
    found: dict[str, Any] = {}
    earlier = earlier_results(given)
    for name, trial in TRIALS.items():
        ended = sorted(path.parent for path in given.runs.glob(f"{name}-s*/metrics.json"))
        seeds = [int(folder.name.rpartition("-s")[2]) for folder in ended]
        runs = []
        for seed, folder in zip(seeds, ended, strict=True):
            recipe = recipe_of(given.runs, name, seed, given.changes)
            figures = run(given.data, folder, recipe)
            day = datetime.fromtimestamp((folder / "metrics.json").stat().st_mtime, UTC)
            runs.append({**figures, "date": day.strftime("%Y-%m-%d"), "recipe": digest(recipe)})
        for figures in earlier.get(name, {"runs": []})["runs"]:
            if figures["seed"] in seeds:
                continue
            if figures["recipe"] == digest(recipe_of(given.runs, name, figures["seed"], given.changes)):
                runs.append(figures)
            else:
                print(f"left out, as its recipe is another one now: {name}, seed {figures['seed']}")
        runs.sort(key=itemgetter("seed"))
        changes = [change for change in trial.changes if trial.start == START]
        if runs:
            found[name] = {"says": trial.says, "changes": changes, "runs": runs, **summary(runs)}
    return found


def digest(recipe: Recipe) -> str:
    """Of all settings that are not everybody's own, but the seed and where other runs lie."""
    usual = flat(Recipe().to_dict())
    own = {
        old_key(key): value  # as when the first digests were made
        for key, value in flat(recipe.to_dict()).items()
        if key not in NOT_COMPARED and (key not in usual or usual[key] != value)
    }
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:12]


def earlier_results(given: argparse.Namespace) -> dict[str, Any]:
    """What the file has, if it is of the same photographs and changes."""
    if not given.out.is_file():
        return {}
    there = json.loads(given.out.read_text(encoding="utf-8"))
    same = (there["data"], there["changes"]) == (given.data.name, given.changes)
    return there["results"] if same else {}


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
    given = options.parse_args()
    wanted = [(name, seed) for seed in given.seeds for name in given.only]
    if given.child:
        for name, seed in wanted:
            recipe = recipe_of(given.runs, name, seed, given.changes)
            run(given.data, folder_of(given.runs, name, seed), recipe)
        return
    train_all(given, wanted)
    results = collected(given)
    rows = [
        [
            found["says"],
            str(len(found["runs"])),
            str(found["val_top1_percent_mean"]),
            str(found["val_top1_percent_deviation"] or ""),
        ]
        for found in results.values()
    ]
    print(table(["trial", "seeds", "val top-1 %", "deviation"], rows))
    write(given.out, "cars_search", data=given.data.name, changes=given.changes, results=results)


if __name__ == "__main__":
    main()
