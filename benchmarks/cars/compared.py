"""Which family is the most accurate for its cost on Stanford Cars, all trained alike in a few epochs?

Data: the photographs of Stanford Cars in `--data`, cut to their cars; top-1 of `val`, which selects the
epoch. Method: `lightcars compare`: every model from random weights with the recipe `compare` at 96 px, and
`--epochs` epochs; parameters and multiply-accumulates for 196 classes at 96 px; latency of one image in eager
PyTorch. `python -m benchmarks.cars.compared --data cars196 --runs FOLDER` resumes in FOLDER, whose page links
the report of each run.

Reading: few epochs show how fast a family learns, not how well; the standard error of top-1 at 5 % on 968
photographs is 0.7 points, and another seed would change ranks.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness.record import RESULTS, write
from lightcars.data.layouts import find_data
from lightcars.recipes.files import load_recipe
from lightcars.training.comparing import COMPARE, compare_models

NAME = "compared"
MODELS = (
    "ghostnet_100",
    "efficientnet_lite0",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "shufflenetv2_100",
    "squeezenet_1_1",
    "hardnet_39ds",
    "ghostnetv2_100",
    "repghostnet_100",
    "squeezenext_100",
)
"""One of each family, of sizes with similar cost where a family has several."""


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="Stanford Cars, in any layout")
    options.add_argument("--runs", type=Path, required=True, help="folder of the comparison, new or resumed")
    options.add_argument("--epochs", type=int, default=5)
    options.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL")
    options.add_argument("--out", type=Path, default=RESULTS / f"{NAME}.json")
    arguments = options.parse_args()
    recipe = load_recipe(COMPARE, [f"epochs={arguments.epochs}", "precision=bf16-mixed"])
    compared = compare_models(arguments.models, arguments.data, arguments.runs, recipe=recipe, progress=True)
    records = find_data(arguments.data)
    write(
        arguments.out,
        NAME,
        images={split: len(records.split(split)) for split in ("train", "val")},
        epochs=recipe.epochs,
        resolution=recipe.resolution,
        seed=recipe.seed,
        omp_threads=os.environ.get("OMP_NUM_THREADS"),
        results=[asdict(model) for model in compared.models],
    )


if __name__ == "__main__":
    main()
