"""How many images per second does the input pipeline deliver, and how many does training consume?

Sides: the input pipeline alone (decoded images -> augmentation -> batches of bytes -> color changes and
normalization -> input tensors), through the data loader and the functions that a fine-tune uses; and the
model alone on a batch that is ready (forward, loss, backward, optimizer step). Each recipe with its own
transforms, model and batch size, at one resolution. In addition reading: decoding the files, which a run
does once.

Method: in one process with all cores, rounds of both in turn, each over the same number of images; a round
gives the ratio pipeline / model. In addition to wall-clock time, the CPU time of this process's threads,
which other processes disturb less (without worker processes only). Without `--data` the images are
synthetic.

Reading: the ratio is how many models of this kind the pipeline could feed; below 1 the model waits for data.
1 / (1 + ratio) is the pipeline's share of a step without worker processes (workers=0).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import parser
from benchmarks.harness.ratios import rounded, table
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import seconds
from lightcars import create_model
from lightcars.augmentation.color_jitter import jittered
from lightcars.augmentation.image import Augmentation, augmentation
from lightcars.data.dataset import DecodedImages, decode
from lightcars.data.drawn_cars import draw_cars
from lightcars.data.layouts import Sample, find_data
from lightcars.data.pixels import normalize
from lightcars.data.stanford_cars import RGB_MEAN, RGB_STD
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.files import load_recipe
from lightcars.recipes.recipe import Recipe
from lightcars.training.loaders import ImageDataModule
from lightcars.training.optim.optimizers import make_optimizer

NUM_CLASSES = 196
WANTED = 4.0


def recipe_of(name: str, resolution: int, workers: int) -> Recipe:
    """Return the recipe at another resolution, with the decode resolution scaled by the same factor."""
    recipe = Recipe(resolution=resolution) if name == "default" else load_recipe(name)
    kept = recipe.decode_resolution
    if kept is not None:
        assert recipe.resolution is not None
        kept = round(kept * resolution / recipe.resolution)
    return replace(recipe, resolution=resolution, decode_resolution=kept, workers=workers, progressive=None)


def batches(recipe: Recipe, data: DecodedImages) -> tuple[Any, Augmentation]:
    """Return the data loader and augmentation of a fine-tune, outside of one."""
    assert recipe.resolution is not None
    augment = augmentation(recipe.augment, recipe.resolution, NUM_CLASSES)
    loaders = ImageDataModule(recipe, data, data, augment.image)
    loaders.trainer = SimpleNamespace(global_rank=0, world_size=1, accelerator=None)
    return loaders.train_dataloader(), augment


def feed(loader: Any, augment: Augmentation, like: Preprocessing) -> None:
    """Run an epoch of the input pipeline, up to the input tensors of the model."""
    for pixels, labels in loader:
        images = pixels if augment.jitter is None else jittered(pixels, augment.jitter)
        images = normalize(images, like)
        for erase in augment.erasing:
            images = erase(images)
            images = images.to(memory_format=torch.channels_last)
        if augment.mix is not None:
            augment.mix(images, labels)


def train(model: nn.Module, recipe: Recipe, number: int) -> Callable[[], None]:
    """Return a function that runs an epoch of training steps on a batch that is ready."""
    images = torch.rand(recipe.batch_size, 3, recipe.resolution, recipe.resolution)
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(NUM_CLASSES, (recipe.batch_size,))
    optimizer = make_optimizer(model, recipe.optimizer)

    def steps() -> None:
        for _ in range(number // recipe.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels, label_smoothing=recipe.label_smoothing).backward()
            optimizer.step()

    return steps


def measure(
    name: str, samples: list[Sample], arguments: Any, neighbors: Neighbors, workers: int
) -> dict[str, Any]:
    recipe = recipe_of(name, arguments.resolution, workers)
    like = Preprocessing(resolution=arguments.resolution, mean=RGB_MEAN, std=RGB_STD)
    kept = replace(like, resolution=recipe.decode_resolution or arguments.resolution)
    data = decode(samples, kept)
    model_name = arguments.model or recipe.model.name
    settings = {} if arguments.model else dict(recipe.model.settings)
    model = create_model(model_name, num_classes=NUM_CLASSES, **settings)
    model = model.to(memory_format=torch.channels_last).train()
    loader, augment = batches(recipe, data)
    number = len(loader) * recipe.batch_size
    pipeline, steps = partial(feed, loader, augment, like), train(model, recipe, number)
    pipeline()  # starts the workers and warms up
    train(model, recipe, recipe.batch_size)()
    rates: dict[str, list[float]] = {"reading": [], "pipeline": [], "model": []}
    cpu_times: dict[str, list[float]] = {"pipeline": [], "model": []}
    for _ in range(1 if arguments.quick else arguments.rounds):
        for side, call in (
            ("reading", partial(decode, samples, kept)),
            ("pipeline", pipeline),
            ("model", steps),
        ):
            count = len(samples) if side == "reading" else number
            wall_s, cpu_s = neighbors.undisturbed(partial(times, call))
            rates[side].append(count / wall_s)
            if side in cpu_times:
                cpu_times[side].append(1e3 * cpu_s / count)
    ratios = [a / b for a, b in zip(rates["pipeline"], rates["model"], strict=True)]
    return {
        "model": model_name,
        "batch_size": recipe.batch_size,
        "workers": workers,
        "photographs_per_round": number,
        "photographs_per_s": {side: spread_of(values) for side, values in rates.items()},
        "pipeline_over_model": spread_of(ratios),
        **(cpu_costs(cpu_times) if workers == 0 else {}),
        "reaches_4": median(ratios) >= WANTED,
    }


def times(call: Callable[[], object]) -> tuple[float, float]:
    """Return wall-clock seconds, and CPU seconds of this process's threads."""
    start = time.process_time()
    return seconds(call), time.process_time() - start


def cpu_costs(cpu_times: dict[str, list[float]]) -> dict[str, Any]:
    """Return the CPU time of an image, and the ratio of training to pipeline."""
    ratios = [a / b for a, b in zip(cpu_times["model"], cpu_times["pipeline"], strict=True)]
    return {
        "processor_ms_per_photograph": {side: spread_of(values) for side, values in cpu_times.items()},
        "model_over_pipeline_in_processor_time": spread_of(ratios),
    }


def spread_of(values: list[float]) -> dict[str, float]:
    return {"median": rounded(median(values)), "low": rounded(min(values)), "high": rounded(max(values))}


def shown(spread: dict[str, float]) -> str:
    return f"{spread['median']:.4g} [{spread['low']:.4g} .. {spread['high']:.4g}]"


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--recipes", nargs="+", default=["default", "cars-scratch"])
    options.add_argument("--model", help="instead of each recipe's own")
    options.add_argument("--resolution", type=int, default=224)
    options.add_argument("--data", type=Path, help="images, as for `lightcars finetune`")
    options.add_argument("--images", type=int, default=192, help="number of images in a round")
    options.add_argument("--workers", type=int, nargs="+", default=[0])
    options.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    arguments = options.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    results = {}
    neighbors = Neighbors(arguments.patience)
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or draw_cars(Path(folder), train=-(-arguments.images // 8), val=1)
        samples = list(find_data(data).split("train"))
        samples = samples[:: max(1, len(samples) // arguments.images)][: arguments.images]
        for name in arguments.recipes:
            for workers in arguments.workers:
                results[f"{name}, workers={workers}"] = measure(name, samples, arguments, neighbors, workers)
    rows = [
        [
            name,
            result["model"],
            *(shown(result["photographs_per_s"][side]) for side in ("reading", "pipeline", "model")),
            shown(result["pipeline_over_model"]),
        ]
        for name, result in results.items()
    ]
    head = ["recipe", "model", "reading, 1/s", "pipeline, 1/s", "training, 1/s", "pipeline / training"]
    print(table(head, rows))
    settings = {"resolution": arguments.resolution, "data": bool(arguments.data)}
    finish("input_pipeline", arguments, neighbors, results, threads=torch.get_num_threads(), **settings)


if __name__ == "__main__":
    main()
