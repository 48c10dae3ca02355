"""What do ImageNet weights bring to a fine-tune on few images, with the command that needs no options?

Data: photographs of Stanford Cars in five classes of bodies (convertible, pickup, sedan, SUV, van), told by
the class names, 40 for training and 40 for validation each, sampled with seed 0 from `train` and `val`.

Method: `lightcars finetune FOLDER` in a process of its own, beside the same command from random weights, and
beside random weights with what suits them better: the same learning rate everywhere, and batch norms that
follow the batches faster. The best epoch is selected on the 200 validation photographs, on which the recipe
was chosen too, so their accuracy is optimistic.
`python -m benchmarks.cars.few_images --data cars196` takes about ten minutes on two cores.

Reading: the standard error of top-1 on 200 photographs is 3 points. `cpu_s` is the CPU time of all threads,
which other processes on the machine affect less than the seconds of the wall clock.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.finetunes import summary
from benchmarks.harness.ratios import rounded, table
from benchmarks.harness.record import RESULTS, write
from lightcars.data.layouts import find_data

BODIES: Mapping[str, Sequence[str]] = {
    "convertible": ("Convertible",),
    "pickup": ("Crew Cab", "Extended Cab", "Regular Cab", "Club Cab", "Quad Cab", "SuperCab"),
    "sedan": ("Sedan",),
    "suv": ("SUV",),
    "van": ("Van", "Minivan"),
}
"""Class -> what the names of its cars contain."""
IMAGES_PER_CLASS = 40
SIDES: Mapping[str, Sequence[str]] = {
    "ImageNet weights": (),
    "random weights": ("--set", "model.weights=null"),
    "random weights, adapted": (
        "--set",
        "model.weights=null",
        "--set",
        "model.settings.batch_norm_momentum=0.1",
        "--set",
        "optimizer.backbone_lr_factor=1",
    ),
}


def body_of(name: str) -> str | None:
    """Return the class of bodies that a class of Stanford Cars belongs to, if it is one of the five."""
    found = (body for body, parts in BODIES.items() if any(part in name for part in parts))
    return next(found, None)


def five_bodies(data: Path, folder: Path, number: int = IMAGES_PER_CLASS) -> Path:
    """Copy photographs of Stanford Cars into class folders of the five bodies, in train/ and val/."""
    records, chooser = find_data(data), random.Random(0)
    for split in ("train", "val"):
        by_body: defaultdict[str, list[Path]] = defaultdict(list)
        for sample in sorted(records.split(split), key=lambda sample: (sample.label, sample.path.name)):
            body = body_of(records.classes[sample.label])
            if body is not None:
                by_body[body].append(sample.path)
        for body in BODIES:
            (folder / split / body).mkdir(parents=True)
            for path in chooser.sample(by_body[body], number):
                shutil.copy(path, folder / split / body / path.name)
    return folder


def measured(data: Path, options: Sequence[str], seed: int, out: Path) -> dict[str, Any]:
    """Return accuracy and time of one command in a process of its own."""
    command = [sys.executable, "-m", "lightcars", "finetune", str(data), *options, "--json"]
    command += ["--out", str(out), *(["--seed", str(seed)] if seed else [])]
    start, cpu = time.perf_counter(), _children_cpu_s()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    metrics = json.loads(done.stdout)
    return {
        "seed": seed,
        "val_top1_percent": rounded(metrics["val_top1_percent"]),
        "best_epoch": metrics["best_epoch"],
        "epochs": metrics["epochs"],
        "wall_s": rounded(time.perf_counter() - start),
        "cpu_s": rounded(_children_cpu_s() - cpu),
    }


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="Stanford Cars, in any layout")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options.add_argument("--out", type=Path, default=RESULTS / "few_images.json")
    arguments = options.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = five_bodies(arguments.data, Path(folder) / "bodies")
        for side, changes in SIDES.items():
            runs = []
            for seed in arguments.seeds:
                runs.append(measured(data, changes, seed, Path(folder) / f"{side} {seed}"))
                print(side, runs[-1])
            results[side] = {"options": list(changes), "runs": runs, **summary(runs)}
    rows = [
        [side, run["seed"], run["val_top1_percent"], run["best_epoch"], run["wall_s"], run["cpu_s"]]
        for side, found in results.items()
        for run in found["runs"]
    ]
    head = ["", "seed", "top-1 %", "best epoch", "wall s", "CPU s"]
    print(table(head, [[str(cell) for cell in row] for row in rows]))
    threads = os.environ.get("OMP_NUM_THREADS")
    write(
        arguments.out, "few_images", images_per_class=IMAGES_PER_CLASS, omp_threads=threads, results=results
    )


if __name__ == "__main__":
    main()
