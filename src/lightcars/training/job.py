"""Turn what a caller asks for into a job: recipe, data, network and run folder, all checked."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from lightcars.augmentation.image import augmentation
from lightcars.data.layouts import CLASSES_FILE, DatasetRecords, find_data, with_validation
from lightcars.data.stanford_cars import GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD
from lightcars.deploy.classifier import is_untrained
from lightcars.deploy.cpu import computes_bf16
from lightcars.errors import ConfigError, DataError, did_you_mean
from lightcars.models.alterations import actual_config, require_unaltered
from lightcars.models.build import build_model, resolve_device
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.registry import MODELS, find_model
from lightcars.models.validation import change_config
from lightcars.recipes.files import load_recipe, recipe_from
from lightcars.recipes.recipe import AUTO, ModelRecipe, Recipe
from lightcars.runs.description import RunDescription, TrainingSpeed
from lightcars.runs.folder import RunFolder, check_free, reopen
from lightcars.runs.images import check_same_images
from lightcars.runs.trained import best_of_run
from lightcars.text import json_text
from lightcars.training.distillation import load_teacher
from lightcars.training.distributed.processes import (
    check_decidable,
    check_processes,
    is_first_process,
    started_by_torchrun,
    with_started,
)
from lightcars.training.optim.optimizers import check_optimization
from lightcars.training.speed import device_of
from lightcars.weights.catalog import IMAGENET_TAG, find_candidates
from lightcars.weights.checkpoint import load, read_card
from lightcars.weights.pretrained import load_pretrained


def chosen_recipe(
    recipe: Recipe | str | Path | None,
    model: str | ImageModel | None,
    *,
    test: bool,
    required: bool,
    changes: Mapping[str, Any],
) -> Recipe | None:
    """Return the recipe with the changes of the other arguments; None if nothing is given or required."""
    chosen = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    if chosen is None and not required:
        if isinstance(model, str) or test or changes:
            given = ", ".join(["its model and test", *changes])
            raise ConfigError(f"a resumed run keeps {given}; leave them out, or give its recipe too.")
        return None
    chosen = chosen or Recipe()
    chosen = for_model(chosen, model) if isinstance(model, str) else chosen
    chosen = _changed(chosen, changes)
    return with_started(replace(chosen, test=True) if test else chosen)


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe with other values of its keys, sections as their dataclasses or as in YAML."""
    known = [field.name for field in fields(recipe) if field.name not in ("name", "source", "model", "test")]
    for key in changes:
        if key not in known:
            raise ConfigError(
                f"{key!r} is neither an argument of finetune nor a key of Recipe.{did_you_mean(key, known)}"
                f" Recipe has: {', '.join(known)}."
            )
    plain = {key: _plain(value, getattr(recipe, key)) for key, value in changes.items()}
    try:
        json_text(plain)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"finetune: {', '.join(changes)} must be values of a recipe ({error}).") from error
    checked = recipe_from(plain, "finetune")
    return replace(recipe, **{key: getattr(checked, key) for key in plain})


def _plain(value: Any, before: Any) -> Any:
    """Return a value as in YAML; keys of a section that are left out keep their values."""
    if isinstance(value, dict) and is_dataclass(before) and not isinstance(before, type):
        return {**asdict(before), **value}
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def for_model(recipe: Recipe, name: str) -> Recipe:
    """Return the recipe for another model, without the settings and weights of the one that it names."""
    if name == recipe.model.name:
        return recipe
    return replace(recipe, name=None, model=ModelRecipe(name=name, freeze_epochs=recipe.model.freeze_epochs))


def new_job(
    data: str | Path, model: ImageModel | None, recipe: Recipe, out: str | Path | None
) -> TrainingJob:
    """Prepare a new run; nothing is written yet.

    Raises:
        ConfigError, DataError, DeviceError, UnknownModelError: an invalid setting, data set or name.
        RunError: the folder is taken.
    """
    _check_accelerator(recipe)
    check_decidable(recipe)
    records = _split(data, recipe)
    _check_classes(records)
    for line in (*records.notes, *records.mismatches) if is_first_process() else ():
        warnings.warn(line, stacklevel=4)
    name, network = _network(model, recipe, len(records.classes))
    preprocessing = _preprocessing(network, recipe)
    augmentation(recipe.augment, preprocessing.resolution, len(records.classes))
    recipe.resolutions(preprocessing.resolution)
    teacher = _teacher(recipe, records, network)
    check_optimization(network, recipe)
    folder = default_folder(name) if out is None else Path(out)
    if is_first_process():
        check_free(folder)
    return TrainingJob(name, network, recipe, preprocessing, records, RunFolder(folder), teacher=teacher)


def resumed_job(data: str | Path, recipe: Recipe | None, out: str | Path | None) -> TrainingJob:
    """Prepare to resume a run.

    Raises:
        ConfigError, DataError: other settings or data than it was started with.
        RunError: there is no run, or nothing to resume from.
    """
    if out is None:
        raise ConfigError("resuming needs the run folder (out).")
    run, before = reopen(Path(out), recipe)
    own = before.recipe
    check_processes(own)
    if own.images_on_device == AUTO:  # of a run that was started before there was a choice
        own = replace(own, images_on_device=False)
    recipe = own if recipe is None else replace(own, workers=recipe.workers)  # nothing is left open
    _check_accelerator(recipe)
    records = _split(data, recipe)
    start = run.best if run.summary.is_file() else run.initial
    network = copy.deepcopy(load(start))  # in memory of its own, aligned as in a first run
    check_same_images(data, run, before.data, records, read_card(start).classes)
    teacher = None if run.summary.is_file() else _teacher(recipe, records, network)
    preprocessing = _preprocessing(network, recipe)
    return TrainingJob(before.model.name, network, recipe, preprocessing, records, run, teacher, before)


def _split(data: str | Path, recipe: Recipe) -> DatasetRecords:
    """Return the data with a validation split; none is split off where test selects, as in the theses."""
    records = find_data(data)
    records = records if recipe.select_on == "test" else with_validation(records, recipe.seed)
    for split in ("test",) if recipe.test else ():
        records.split(split)
    records.split(recipe.select_on)
    return records


def _network(model: ImageModel | None, recipe: Recipe, num_classes: int) -> tuple[str, ImageModel]:
    torch.manual_seed(recipe.seed)
    if model is None:
        name, weights, settings = recipe.model.name, recipe.model.weights, recipe.model.settings
        config = change_config(find_model(name).config, settings)
        ends = {"num_classes": num_classes, "resolution": recipe.resolution or config.resolution}
        if weights is None:
            return name, build_model(change_config(config, ends))
        if RunFolder(Path(weights)).description.is_file():
            weights = str(best_of_run(Path(weights)))
        loaded = load_pretrained(name, weights, {**settings, **ends})
        return name, _to_train(copy.deepcopy(loaded))  # in newly allocated, aligned memory
    if recipe.model.settings or recipe.model.weights is not None:
        raise ConfigError(
            "the recipe sets model.settings or model.weights, which are only for a model given by name;"
            " remove them."
        )
    require_unaltered(model, "finetune writes checkpoints that a model's config rebuilds", ConfigError)
    model.config = actual_config(model)
    if model.config.num_classes != num_classes:
        model.reset_classifier(num_classes)
    return type(model).__name__.lower(), _to_train(model)


def _to_train(model: ImageModel) -> ImageModel:
    """Reset temperature and OOD detector, which belong to the old weights."""
    model.temperature, model.familiarity = 1.0, None
    return model


def _teacher(recipe: Recipe, records: DatasetRecords, network: ImageModel) -> ImageModel | None:
    if recipe.distillation is None:
        return None
    return load_teacher(recipe.distillation, records.classes, network.config.img_channels)


def _preprocessing(network: ImageModel, recipe: Recipe) -> Preprocessing:
    channels = network.config.img_channels
    if channels not in (1, 3):
        raise ConfigError(f"images have 1 or 3 channels, the model takes {channels}.")
    resolution = recipe.resolution or network.config.resolution
    mean: tuple[float, ...] = RGB_MEAN if channels == 3 else GRAY_MEAN
    std: tuple[float, ...] = RGB_STD if channels == 3 else GRAY_STD
    if recipe.mean is not None and recipe.std is not None:
        mean, std = recipe.mean, recipe.std
    elif network.preprocessing is not None:
        mean, std = network.preprocessing.mean, network.preprocessing.std
    if len(mean) != channels:
        raise ConfigError(f"mean and std have {len(mean)} channels, the model takes {channels}.")
    return Preprocessing(resolution=resolution, mean=mean, std=std)


def _check_classes(records: DatasetRecords) -> None:
    missing = sorted(set(range(len(records.classes))) - {sample.label for sample in records.split("train")})
    if missing:
        raise DataError(
            f"{records.root} has training images of {len(records.classes) - len(missing)} of"
            f" {len(records.classes)} classes (first missing: {records.classes[missing[0]]}); the copy may be"
            f" incomplete. To train on fewer classes, list them in {records.root / CLASSES_FILE}, one per"
            " line."
        )


def _check_accelerator(recipe: Recipe) -> None:
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    if recipe.precision == "16-mixed" and (recipe.accelerator == "cpu" or not gpu):
        raise ConfigError("precision 16-mixed needs a GPU; on a CPU use bf16-mixed or 32-true.")
    if recipe.precision == "bf16-mixed" and not computes_bf16(device_of(recipe)):
        raise ConfigError("this device does not compute in bf16; use precision auto or 32-true.")
    if recipe.accelerator == "mps" or (recipe.accelerator == "gpu" and torch.backends.mps.is_available()):
        resolve_device("mps")
    elif recipe.accelerator in ("gpu", "cuda") or (
        recipe.accelerator == "auto" and torch.cuda.is_available()
    ):
        resolve_device("cuda")
        resolve_device(f"cuda:{recipe.devices - 1}")


_DEFAULT_FOLDER = "LIGHTCARS_RUN_FOLDER"


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A fine-tune that is ready to run.

    Attributes:
        name: of the model.
        network: the model to be trained.
        recipe: how.
        preprocessing: what the model expects.
        records: the data set.
        run: the run folder.
        teacher: for distillation.
        before: what `run.json` says, if the run is resumed.
        speed: what was measured to decide the recipe, if anything was.
        place: where the images are, in a line.
    """

    name: str
    network: ImageModel
    recipe: Recipe
    preprocessing: Preprocessing
    records: DatasetRecords
    run: RunFolder
    teacher: ImageModel | None = None
    before: RunDescription | None = None
    speed: TrainingSpeed | None = None
    place: str = ""

    @property
    def named_recipe(self) -> str:
        """The recipe with its model and weights, in a line; "" if it has no name and starts from weights."""
        origin = self.network.origin
        weights = self.recipe.model.weights if self.before or origin is None else origin.weights
        if self.recipe.name is not None:
            start = "random weights" if weights is None else f"weights {weights}"
            return f"recipe {self.recipe.name}: {self.name}, {start}"
        if self.before or not is_untrained(self.network):
            return ""
        has_tag = bool(self.name in MODELS and find_candidates(self.name, IMAGENET_TAG))
        hint = "; --set model.weights=imagenet starts from pretrained ones" if has_tag else ""
        return f"{self.name} starts from random weights{hint}"


def default_folder(model_name: str) -> Path:
    """Return runs/<model>-<date>-<time>, in the current folder; the first process tells those it starts."""
    if started_by_torchrun() or (not is_first_process() and _DEFAULT_FOLDER not in os.environ):
        raise ConfigError("with torchrun, Slurm or other launchers, give the run folder (--out).")
    if not is_first_process():
        return Path(os.environ[_DEFAULT_FOLDER])
    folder = Path("runs") / f"{model_name}-{datetime.now():%Y%m%d-%H%M%S}"
    os.environ[_DEFAULT_FOLDER] = str(folder)
    return folder
