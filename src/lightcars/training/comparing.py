"""Train several models with the same recipe and budget, and set accuracy beside cost."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lightcars.counters.flops import count_flops
from lightcars.counters.params import count_params
from lightcars.counters.timing import time_calls
from lightcars.errors import ConfigError, RunError
from lightcars.files import write_text
from lightcars.models.image_model import ImageModel
from lightcars.models.registry import find_model
from lightcars.outputs import check_output_folder
from lightcars.recipes.files import load_recipe
from lightcars.recipes.recipe import ModelRecipe, Recipe
from lightcars.reports.tradeoffs import ComparedModel, tradeoff_page
from lightcars.runs.folder import RunFolder, remove_unbegun
from lightcars.text import json_text
from lightcars.training.finetune import finetune
from lightcars.training.result import FinetuneResult
from lightcars.weights.checkpoint import load

RESULTS_FILE, PAGE_FILE = "comparison.json", "comparison.html"
COMPARE = "compare"
"""The recipe that is taken where none is named."""
LATENCY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelComparison:
    """Models that were trained alike.

    Attributes:
        models: in the order in which they were named.
        folder: holds a run folder for each, `comparison.json` and `comparison.html`.
    """

    models: tuple[ComparedModel, ...]
    folder: Path

    @property
    def page(self) -> Path:
        """The page with table and charts."""
        return self.folder / PAGE_FILE


def compare_models(
    models: Sequence[str],
    data: str | Path,
    out: str | Path,
    *,
    recipe: Recipe | str | Path = COMPARE,
    progress: bool | None = None,
) -> ModelComparison:
    """Train models one after the other with the same recipe, and write one page about all of them.

    What is finished in `out` stays as it is, and an unfinished run is resumed, so the same call resumes a
    comparison that was stopped; it may also name more models. The page is written after each model.

    Args:
        models: registered names.
        data: a folder of images, as for `finetune`.
        out: folder of the comparison: new, empty, or of the same comparison before.
        recipe: as for `finetune`; its model is replaced, and its weights are not taken over.
        progress: show progress bars; None: in notebooks.

    Raises:
        ConfigError: no model, or one twice, or a recipe that selects its epoch on the test split.
        UnknownModelError: a name that is not registered.
        RunError: `out` is something else, or was made with another recipe or other data.
        DataError, KeyboardInterrupt and others: as for `finetune`.
    """
    names = list(models)
    if not names or len(set(names)) < len(names):
        raise ConfigError("name at least one model, and each only once.")
    for name in names:
        find_model(name)
    chosen = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    if chosen.select_on == "test":
        raise ConfigError("models are compared on validation images; use a recipe with select_on: val.")
    folder = Path(out)
    _begin(folder, chosen, Path(data))
    compared: list[ComparedModel] = []
    for name in names:
        compared.append(_train(name, folder / name, chosen, data, progress=progress))
        content = {**_settings(chosen, Path(data)), "models": [asdict(model) for model in compared]}
        write_text(folder / RESULTS_FILE, json_text(content) + "\n")
        write_text(folder / PAGE_FILE, tradeoff_page(compared, _conditions(chosen, Path(data))))
    return ModelComparison(models=tuple(compared), folder=folder)


def _settings(recipe: Recipe, data: Path) -> dict[str, Any]:
    """Return what all models of a comparison share."""
    return {"data": str(data.resolve()), "recipe": {**recipe.to_dict(), "model": None, "name": None}}


def _begin(folder: Path, recipe: Recipe, data: Path) -> None:
    """Write the settings of a new comparison, or check those of one that goes on."""
    wanted = json.loads(json_text(_settings(recipe, data)))
    path = folder / RESULTS_FILE
    if not path.is_file():
        check_output_folder(folder, inputs=[data])
        write_text(path, json_text(wanted) + "\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        differing = [key for key in wanted if before.get(key) != wanted[key]]
    except (ValueError, OSError, AttributeError, RecursionError) as error:
        raise RunError(f"{path} cannot be read; name another folder.") from error
    if differing:
        raise RunError(
            f"{folder} holds a comparison with another {' and '.join(differing)}; name another folder, or"
            " use the"
            " same settings."
        )


def _train(name: str, run: Path, recipe: Recipe, data: str | Path, *, progress: bool | None) -> ComparedModel:
    settings = replace(recipe, name=None, model=ModelRecipe(name=name))
    begun = RunFolder(run).description.is_file()
    if not begun:
        remove_unbegun(run)
    done = finetune(data, recipe=settings, out=run, resume=begun, trackers=("none",), progress=progress)
    return _measured(name, done)


def _measured(name: str, done: FinetuneResult) -> ComparedModel:
    network = load(RunFolder(done.run).best, device="cpu")
    assert network.preprocessing is not None
    resolution = network.preprocessing.resolution
    return ComparedModel(
        name=name,
        top1_percent=done.metrics["val_top1_percent"],
        top5_percent=done.metrics["val_top5_percent"],
        best_epoch=done.metrics["best_epoch"],
        num_params=count_params(network),
        flops=count_flops(network, resolution),
        latency_ms=_latency_ms(network, resolution),
        seconds=_seconds(RunFolder(done.run).table),
    )


def _seconds(table: Path) -> float:
    """Return the time of all epochs."""
    with table.open(newline="", encoding="utf-8") as file:
        return sum(float(row["seconds"]) for row in csv.DictReader(file))


@torch.inference_mode()
def _latency_ms(network: ImageModel, resolution: int) -> float:
    x = torch.rand(1, network.config.img_channels, resolution, resolution)
    return time_calls(lambda: network(x), torch.device("cpu"), seconds=LATENCY_S).median_ms


def _conditions(recipe: Recipe, data: Path) -> str:
    return (
        f"Each model was trained on {data.resolve().name} with the same recipe: {recipe.epochs} epochs at"
        f" {recipe.resolution} px, {recipe.optimizer.name}, seed {recipe.seed}. Accuracy is that of the best"
        f" epoch on the validation images, which selected it. Latency is that of one image in eager PyTorch"
        f" {torch.__version__} in float32, {torch.get_num_threads()} threads, {platform.machine()}."
    )
