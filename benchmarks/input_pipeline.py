"""How many photographs does the input pipeline feed, and how many can the model take, on the same cores?

Sides: the input pipeline alone (decoded photographs -> augmentation -> batches of bytes -> colours and
normalisation -> tensors that the model takes), through the loader and the functions that a fine-tune uses;
and the model alone on a batch that is ready (forward, loss, backward, optimizer step). Each recipe with its
own transforms, model and batch size, at one resolution. Beside them reading: files to decoded photographs,
which a run does once.

Method: in one process with all cores, rounds of both in turn, each over the same number of photographs;
a round gives the ratio pipeline / model. Beside the clock, the time of this process's threads on the
processor, which neighbours disturb less (where no worker processes take part of it). Without `--data` the
pictures are drawn.

Reading: the ratio is how many models of this kind the pipeline could feed; below 1 the model waits for it.
1 / (1 + ratio) is the part of a step that the pipeline takes where nothing runs beside it (workers=0).
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

from harness import parser, seconds
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
from neighbours import Neighbours
from ratios import rounded, table
from record import finish

NUM_CLASSES = 196
WANTED = 4.0


def recipe_of(name: str, resolution: int, workers: int) -> Recipe:
    """The recipe at another resolution; photographs that are kept larger stay so by the same factor."""
    recipe = Recipe(resolution=resolution) if name == "default" else load_recipe(name)
    kept = recipe.decode_resolution
    if kept is not None:
        assert recipe.resolution is not None
        kept = round(kept * resolution / recipe.resolution)
    return replace(recipe, resolution=resolution, decode_resolution=kept, workers=workers, progressive=None)


def batches(recipe: Recipe, photos: DecodedImages) -> tuple[Any, Augmentation]:
    """The loader of a fine-tune, outside of one."""
    assert recipe.resolution is not None
    made = augmentation(recipe.augment, recipe.resolution, NUM_CLASSES)
    loaders = ImageDataModule(recipe, photos, photos, made.image)
    loaders.trainer = SimpleNamespace(global_rank=0, world_size=1, accelerator=None)
    return loaders.train_dataloader(), made


def feed(loader: Any, made: Augmentation, like: Preprocessing) -> None:
    """An epoch of batches, each up to the tensor that the model takes."""
    for pixels, labels in loader:
        images = pixels if made.jitter is None else jittered(pixels, made.jitter)
        images = normalize(images, like)
        for erase in made.erasing:
            images = erase(images)
            images = images.to(memory_format=torch.channels_last)
        if made.mix is not None:
            made.mix(images, labels)


def train(model: nn.Module, recipe: Recipe, number: int) -> Callable[[], None]:
    """As many steps as an epoch has, on a batch that is ready."""
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
    name: str, samples: list[Sample], arguments: Any, neighbours: Neighbours, workers: int
) -> dict[str, Any]:
    recipe = recipe_of(name, arguments.resolution, workers)
    like = Preprocessing(resolution=arguments.resolution, mean=RGB_MEAN, std=RGB_STD)
    kept = replace(like, resolution=recipe.decode_resolution or arguments.resolution)
    photos = decode(samples, kept)
    model_name = arguments.model or recipe.model.name
    settings = {} if arguments.model else dict(recipe.model.settings)
    model = create_model(model_name, num_classes=NUM_CLASSES, **settings)
    model = model.to(memory_format=torch.channels_last).train()
    loader, made = batches(recipe, photos)
    number = len(loader) * recipe.batch_size
    pipeline, steps = partial(feed, loader, made, like), train(model, recipe, number)
    pipeline()  # starts workers, and warms both up
    train(model, recipe, recipe.batch_size)()
    found: dict[str, list[float]] = {"reading": [], "pipeline": [], "model": []}
    worked: dict[str, list[float]] = {"pipeline": [], "model": []}
    for _ in range(1 if arguments.quick else arguments.rounds):
        for side, call in (
            ("reading", partial(decode, samples, kept)),
            ("pipeline", pipeline),
            ("model", steps),
        ):
            count = len(samples) if side == "reading" else number
            wall_s, processor_s = neighbours.undisturbed(partial(times, call))
            found[side].append(count / wall_s)
            if side in worked:
                worked[side].append(1e3 * processor_s / count)
    ratios = [a / b for a, b in zip(found["pipeline"], found["model"], strict=True)]
    return {
        "model": model_name,
        "batch_size": recipe.batch_size,
        "workers": workers,
        "photographs_per_round": number,
        "photographs_per_s": {side: spread_of(values) for side, values in found.items()},
        "pipeline_over_model": spread_of(ratios),
        **(processor_times(worked) if workers == 0 else {}),
        "reaches_4": median(ratios) >= WANTED,
    }


def times(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of this process's threads on the processor."""
    start = time.process_time()
    return seconds(call), time.process_time() - start


def processor_times(worked: dict[str, list[float]]) -> dict[str, Any]:
    """What a photograph costs of one core, and how many times as much training on it costs."""
    ratios = [a / b for a, b in zip(worked["model"], worked["pipeline"], strict=True)]
    return {
        "processor_ms_per_photograph": {side: spread_of(values) for side, values in worked.items()},
        "model_over_pipeline_in_processor_time": spread_of(ratios),
    }


def spread_of(values: list[float]) -> dict[str, float]:
    return {"median": rounded(median(values)), "low": rounded(min(values)), "high": rounded(max(values))}


def shown(figures: dict[str, float]) -> str:
    return f"{figures['median']:.4g} [{figures['low']:.4g} .. {figures['high']:.4g}]"


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--recipes", nargs="+", default=["default", "cars-scratch"])
    options.add_argument("--model", help="in place of each recipe's own")
    options.add_argument("--resolution", type=int, default=224)
    options.add_argument("--data", type=Path, help="photographs, as for `lightcars finetune`")
    options.add_argument("--photos", type=int, default=192, help="in a round")
    options.add_argument("--workers", type=int, nargs="+", default=[0])
    options.add_argument("--threads", type=int, help="of torch (default: its own choice)")
    arguments = options.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    results = {}
    neighbours = Neighbours(arguments.patience)
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or draw_cars(Path(folder), train=-(-arguments.photos // 8), val=1)
        samples = list(find_data(data).split("train"))
        samples = samples[:: max(1, len(samples) // arguments.photos)][: arguments.photos]
        for name in arguments.recipes:
            for workers in arguments.workers:
                results[f"{name}, workers={workers}"] = measure(name, samples, arguments, neighbours, workers)
    rows = [
        [
            name,
            figures["model"],
            *(shown(figures["photographs_per_s"][side]) for side in ("reading", "pipeline", "model")),
            shown(figures["pipeline_over_model"]),
        ]
        for name, figures in results.items()
    ]
    head = ["recipe", "model", "reading, 1/s", "pipeline, 1/s", "training, 1/s", "pipeline / training"]
    print(table(head, rows))
    settings = {"resolution": arguments.resolution, "data": bool(arguments.data)}
    finish("input_pipeline", arguments, neighbours, results, threads=torch.get_num_threads(), **settings)


if __name__ == "__main__":
    main()
