"""How much of a fine-tune's step is spent outside the model?

Sides: a real fine-tune (Lightning's loop, images from memory, augmentation, normalization, metrics,
schedule) and the model alone on a batch that is ready (forward, loss, backward, AdamW step).

Method: in one process with all cores, rounds of both in turn: the median time of a step in the middle of a
real epoch, then the median of as many bare steps. The share outside is 1 - bare / real. Without `--data` the
images are synthetic.

Reading: below 10 % the data loader is not the bottleneck.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import parser
from benchmarks.harness.ratios import rounded, table
from benchmarks.harness.record import finish
from lightcars import create_model
from lightcars.data.dataset import DecodedImages, decode
from lightcars.data.drawn_cars import draw_cars
from lightcars.data.layouts import find_data
from lightcars.data.pixels import normalize
from lightcars.data.stanford_cars import RGB_MEAN, RGB_STD
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.recipe import Recipe
from lightcars.training.loaders import ImageDataModule
from lightcars.training.module import ClassifierModule

WARM_STEPS = 3


class StepTimes(L.Callback):
    """Record the seconds from the end of one step to the end of the next."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.ends.append(time.perf_counter())

    def seconds(self) -> list[float]:
        steps = [b - a for a, b in zip(self.ends[:-1], self.ends[1:], strict=True)]
        return steps[WARM_STEPS:]


def real_steps(model: nn.Module, recipe: Recipe, data: DecodedImages, like: Preprocessing) -> list[float]:
    times = StepTimes()
    trainer = L.Trainer(
        max_epochs=1,
        logger=False,
        callbacks=[times],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    module = ClassifierModule(model, recipe, like)
    trainer.fit(module, ImageDataModule(recipe, data, data, module.augmentation.image))
    return times.seconds()


def bare_steps(model: nn.Module, data: DecodedImages, like: Preprocessing, recipe: Recipe) -> list[float]:
    pixels = torch.from_numpy(data.pixels[: recipe.batch_size].copy()).permute(0, 3, 1, 2)
    images, labels = normalize(pixels, like), torch.from_numpy(data.labels[: recipe.batch_size])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    found = []
    for _ in range(len(data.labels) // recipe.batch_size):
        start = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels, label_smoothing=recipe.label_smoothing).backward()
        optimizer.step()
        found.append(time.perf_counter() - start)
    return found[WARM_STEPS:]


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--model", default="ghostnet_100")
    options.add_argument("--resolution", type=int, default=112)
    options.add_argument("--data", type=Path, help="images, as for `lightcars finetune`")
    options.add_argument("--steps", type=int, default=15, help="steps of each side in a round")
    options.add_argument("--workers", type=int, nargs="+", default=[0, 1])
    arguments = options.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    like = Preprocessing(resolution=arguments.resolution, mean=RGB_MEAN, std=RGB_STD)
    number = (arguments.steps + WARM_STEPS) * Recipe().batch_size
    with tempfile.TemporaryDirectory() as folder:
        folder_of_images = arguments.data or draw_cars(Path(folder), train=-(-number // 8), val=1)
        data = decode(find_data(folder_of_images).split("train")[:number], like)
    results = {}
    neighbors = Neighbors(arguments.patience)
    for workers in arguments.workers:
        recipe = Recipe(
            workers=workers,
            epochs=1,
            precision="32-true",
            memory_format="channels_last",
            images_on_device=False,
        )
        model = create_model(arguments.model, num_classes=196).to(memory_format=torch.channels_last)
        real, bare = [], []
        for _ in range(rounds):
            real += neighbors.undisturbed(partial(real_steps, model, recipe, data, like))
            bare += neighbors.undisturbed(partial(bare_steps, model, data, like, recipe))
        results[f"workers={workers}"] = {
            "real_ms": rounded(median(real) * 1e3),
            "bare_ms": rounded(median(bare) * 1e3),
            "outside_percent": rounded(100 * (1 - median(bare) / median(real))),
        }
    rows = [[name, *(f"{value:.4g}" for value in row.values())] for name, row in results.items()]
    print(table(["setting", "real step, ms", "bare step, ms", "outside, %"], rows))
    settings = {"model": arguments.model, "resolution": arguments.resolution, "data": bool(arguments.data)}
    finish("finetune_step", arguments, neighbors, results, **settings)


if __name__ == "__main__":
    main()
