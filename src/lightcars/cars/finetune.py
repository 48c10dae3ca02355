"""Fine-tuning in one call: data in, run folder and model out."""

from __future__ import annotations

import copy
import json
import platform
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from lightcars import __version__
from lightcars.cars.dataset import DecodedPhotos, decode
from lightcars.cars.evaluate import evaluate
from lightcars.cars.layouts import CLASSES_FILE, CarsData, find_data, with_validation
from lightcars.cars.memory import memory_kept
from lightcars.cars.optimization import check_optimization
from lightcars.cars.predictions import judge, write_predictions
from lightcars.cars.processes import check_processes, is_first_process, with_started
from lightcars.cars.recipe import (
    CHOSEN_ON_TEST,
    GRAY_MEAN,
    GRAY_STD,
    RGB_MEAN,
    RGB_STD,
    ModelRecipe,
    Recipe,
    note_on,
)
from lightcars.cars.recipe_file import load_recipe, recipe_from
from lightcars.cars.report import draw_curves, report
from lightcars.cars.run import (
    Job,
    Row,
    RunFolder,
    best_row,
    check_free,
    check_resumable,
    claim,
    default_folder,
    describe,
    reopen,
)
from lightcars.cars.speed import device_of, settle
from lightcars.cars.trackers import DEFAULT_TRACKERS, check_trackers
from lightcars.cars.trained import load_trained
from lightcars.cars.transforms import augmentation
from lightcars.errors import ConfigError, DataError, MissingExtraError
from lightcars.files import write_text
from lightcars.models.build import build_model, resolve_device
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.registry import AnyConfig, find_model
from lightcars.models.validation import change_config
from lightcars.weights.checkpoint import describe_config, load, read_card, save
from lightcars.weights.pretrained import load_pretrained

if TYPE_CHECKING:
    from lightcars.cars.tracking import Loggers


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """What a fine-tune gives.

    Attributes:
        model: of the best epoch, in evaluation mode.
        metrics: `best_epoch`, `epochs`, the figures of the best epoch, and those on the test split if they
            were asked for, as in `metrics.json`. `selected_on` is "test" where that split chose the epoch,
            and `note` says what that makes of them.
        run: the run folder.
    """

    model: ImageModel
    metrics: dict[str, Any]
    run: Path


def finetune(
    data: str | Path,
    *,
    model: str | ImageModel | None = None,
    recipe: Recipe | str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    test: bool = False,
    trackers: Sequence[str] | str | None = None,
    progress: bool = False,
) -> FinetuneResult:
    """Trains a model on a folder of car photographs and writes a run folder.

    The best epoch is the one with the highest top-1 on the validation split; if the data have none, one is
    cut from the training photographs (seeded, 12 % of each class). A test split is not looked at, unless
    `test` asks for it once at the end, or the recipe redoes a thesis by selecting on it.

    Args:
        data: a folder in one of the layouts of `lightcars.cars.layouts`.
        model: a registered name, or a model to go on from, which is changed: it gets a new classifier unless
            its number of classes is that of the data. None is the recipe's model, with its weights and
            settings; those are not taken over by another model.
        recipe: how: a `Recipe`, the name of one that ships, or a YAML file; None is `Recipe()`.
        out: the run folder, new or empty; the default is `runs/<model>-<time>`.
        resume: go on with the run in `out` after its last whole epoch; model and recipe are the run's own.
            It ends with the same figures as a run that was not stopped. The number of workers may be another.
        test: evaluate the best model on the test split when all is done, and write its figures down.
        trackers: what is told beside metrics.csv: "tensorboard", "wandb", "mlflow"; ("none",) for nothing.
            None is TensorBoard, or what the resumed run had. One that fails is left out with a warning.
        progress: show bars.

    Raises:
        DataError: photographs missing, or folders that are no known classes.
        ConfigError, UnknownModelError: a setting or a name that cannot be.
        RunError: the run folder is taken, cannot be written to, or is none; a tracker cannot start; a worker
            process died.
        MissingExtraError: a package is not installed.
        NonFiniteLossError: the loss became infinite or not a number; `best/` keeps the best model so far.
        KeyboardInterrupt: the user stopped it; `resume=True` goes on.
    """
    _require_extra()
    named = None if trackers is None else check_trackers(trackers)
    chosen = _chosen(recipe, model, test=test, required=not resume)
    if resume:
        job = _resumed(data, chosen, out)
    else:
        assert chosen is not None
        job = _prepared(data, None if isinstance(model, str) else model, chosen, out)
    if resume and job.run.summary.is_file():  # nothing left to do
        return FinetuneResult(load(job.run.best), json.loads(job.run.summary.read_text()), job.run.path)
    progress = progress and is_first_process()
    if named is None:
        before = job.run.read() if resume else {}
        named = check_trackers(before.get("trackers", DEFAULT_TRACKERS))
    photos = _photos(job, progress=progress)
    _warn_of_broken(photos)
    with memory_kept(device_of(job.recipe)):
        job, rows = _trained(job, photos, named, resume=resume, progress=progress)
    best = best_row(rows)
    metrics: dict[str, Any] = {"epochs": len(rows), "best_epoch": int(best["epoch"]), **_figures(best)}
    metrics |= {"selected_on": "test", "note": CHOSEN_ON_TEST} if job.recipe.select_on == "test" else {}
    if is_first_process():
        draw_curves(rows, job.run.curves, select_on=job.recipe.select_on)
        _predict(job, photos["val"])
        metrics |= _tested(job, data) if job.recipe.test else {}
        write_text(job.run.summary, json.dumps(metrics, indent=2) + "\n")
        shutil.rmtree(job.run.initial, ignore_errors=True)
        report(job.run.path)
    return FinetuneResult(load(job.run.best), metrics, job.run.path)


def _chosen(
    recipe: Recipe | str | Path | None, model: str | ImageModel | None, *, test: bool, required: bool
) -> Recipe | None:
    """The recipe with what the other arguments change; None if nothing is said and none is required."""
    chosen = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    if chosen is None and not required:
        if isinstance(model, str) or test:
            raise ConfigError(
                "a resumed run keeps its model and test; leave them out, or give its recipe too."
            )
        return None
    chosen = chosen or Recipe()
    chosen = for_model(chosen, model) if isinstance(model, str) else chosen
    return with_started(replace(chosen, test=True) if test else chosen)


def for_model(recipe: Recipe, name: str) -> Recipe:
    """The recipe for another model: its settings and weights were for the one that it names."""
    if name == recipe.model.name:
        return recipe
    return replace(recipe, name=None, model=ModelRecipe(name=name, freeze_epochs=recipe.model.freeze_epochs))


def _trained(
    job: Job, photos: dict[str, DecodedPhotos], trackers: Sequence[str], *, resume: bool, progress: bool
) -> tuple[Job, list[Row]]:
    """Settles what is to be measured and trains; the job as it was run, and the rows of its table."""
    from lightcars.cars.tracking import closing, resume_trackers  # lightning takes seconds to import
    from lightcars.cars.training import train

    if is_first_process():  # the others ask it; see SameSpeed
        job = _settled(job, len(photos["train"].labels))
    loggers: Loggers = {}
    if is_first_process():
        loggers = resume_trackers(job, trackers) if resume else _begin(job, trackers)
    with closing(loggers):
        return job, train(job, photos["train"], photos["val"], loggers=loggers, progress=progress)


def _photos(job: Job, *, progress: bool) -> dict[str, DecodedPhotos]:
    """Training and validation photographs in memory; "val" is the split that selects."""
    recipe = job.recipe
    side = recipe.decode_resolution or job.preprocessing.resolution
    larger = replace(job.preprocessing, resolution=side)
    train, val = job.cars.split("train"), job.cars.split(recipe.select_on)
    photos = {
        "train": decode(train, larger, region=recipe.region, name="train", progress=progress),
        "val": decode(
            val, job.preprocessing, region=recipe.val_region, name=recipe.select_on, progress=progress
        ),
    }
    found, num_devices = len(photos["train"].labels), recipe.devices * recipe.num_nodes
    if found < num_devices:
        raise DataError(f"{found} training photographs are too few for {num_devices} devices.")
    return photos


def _settled(job: Job, num_images: int) -> Job:
    """The job with nothing left to measure."""
    recipe, speed = settle(job.recipe, job.network, job.preprocessing.resolution, num_images)
    return replace(job, recipe=recipe, speed=speed)


def _tested(job: Job, data: str | Path) -> dict[str, float]:
    figures = evaluate(
        job.run.best, data, split="test", region=job.recipe.val_region, device=_device(job.recipe)
    )
    return {
        "test_top1_percent": figures.top1_percent,
        "test_top5_percent": figures.top5_percent,
        "test_loss": figures.loss,
    }


def _prepared(data: str | Path, model: ImageModel | None, recipe: Recipe, out: str | Path | None) -> Job:
    _check_accelerator(recipe)
    cars = _split(data, recipe)
    _check_classes(cars)
    for line in (*cars.notes, *cars.mismatches) if is_first_process() else ():
        warnings.warn(line, stacklevel=4)
    name, network = _network(model, recipe, len(cars.classes))
    preprocessing = _preprocessing(network, recipe)
    augmentation(recipe.augment, preprocessing.resolution, len(cars.classes))
    recipe.resolutions(preprocessing.resolution)
    check_optimization(network, recipe)
    folder = default_folder(name) if out is None else Path(out)
    if is_first_process():
        check_free(folder)
    return Job(name, network, recipe, preprocessing, cars, RunFolder(folder))


def _begin(job: Job, trackers: Sequence[str]) -> Loggers:
    from lightcars.cars.tracking import open_trackers

    made = not job.run.path.exists()
    claim(job.run.path)
    try:
        save(job.network, job.run.initial, classes=job.cars.classes, preprocessing=job.preprocessing)
        loggers, runs = open_trackers(job, dict.fromkeys(trackers))
        describe(job.run, {**_description(job), "trackers": trackers, "tracker_runs": runs})
    except BaseException:  # Ctrl-C while a tracker waits for the network
        shutil.rmtree(job.run.path, ignore_errors=True)
        if not made:
            job.run.path.mkdir(exist_ok=True)
        raise
    return loggers


def _predict(job: Job, val: DecodedPhotos) -> None:
    trained = load_trained(job.run.path, _device(job.recipe))
    predictions = judge(trained, val, job.cars.root, job.recipe.batch_size)
    predictions = replace(predictions, note=note_on(job.recipe.select_on, job.recipe.select_on))
    write_predictions(predictions, job.run.predictions)


def _device(recipe: Recipe) -> str | None:
    return "cpu" if recipe.accelerator == "cpu" else None


def _split(data: str | Path, recipe: Recipe) -> CarsData:
    """The data with a validation split; where test selects, as in the theses, all of train is trained on."""
    cars = find_data(data)
    cars = cars if recipe.select_on == "test" else with_validation(cars, recipe.seed)
    for split in ("test",) if recipe.test else ():
        cars.split(split)
    cars.split(recipe.select_on)
    return cars


def _resumed(data: str | Path, recipe: Recipe | None, out: str | Path | None) -> Job:
    if out is None:
        raise ConfigError("resuming needs the run folder (out).")
    run, description = reopen(Path(out), recipe)
    check_resumable(run)
    own = recipe_from(description["recipe"], str(run.description))
    check_processes(own)
    recipe = own if recipe is None else replace(own, workers=recipe.workers)  # nothing is left to measure
    _check_accelerator(recipe)
    cars = _split(data, recipe)
    start = run.best if run.summary.is_file() else run.initial
    network = copy.deepcopy(load(start))  # in memory of its own, aligned as in a first run
    counts = cars.num_images
    before = description["data"]["num_images"]
    if read_card(start).classes != cars.classes or before != counts:
        raise DataError(f"{data} is not the data that {out} was started with ({counts}, then {before}).")
    name = str(description["model"]["name"])
    return Job(name, network, recipe, _preprocessing(network, recipe), cars, run)


def _network(model: ImageModel | None, recipe: Recipe, num_classes: int) -> tuple[str, ImageModel]:
    torch.manual_seed(recipe.seed)
    if model is None:
        name, weights, settings = recipe.model.name, recipe.model.weights, recipe.model.settings
        config = change_config(find_model(name).config, settings)
        ends = {"num_classes": num_classes, "resolution": recipe.resolution or config.resolution}
        if weights is None:
            return name, build_model(change_config(config, ends))
        loaded = load_pretrained(name, weights, {**settings, **ends})
        return name, copy.deepcopy(loaded)  # in memory of its own, aligned as fresh weights are
    if recipe.model.settings or recipe.model.weights is not None:
        raise ConfigError(
            "a recipe with settings or weights of a model cannot train the module that was given."
        )
    if model.config.num_classes != num_classes:
        model.reset_classifier(num_classes)
    return type(model).__name__.lower(), model


def _preprocessing(network: ImageModel, recipe: Recipe) -> Preprocessing:
    channels = network.config.img_channels
    if channels not in (1, 3):
        raise ConfigError(f"photographs have 1 or 3 channels, the model takes {channels}.")
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


def _description(job: Job) -> dict[str, Any]:
    cars = job.cars
    return {
        "lightcars_version": __version__,
        "model": {"name": job.name, **describe_config(cast(AnyConfig, job.network.config))},
        "weights": None if job.network.origin is None else str(job.network.origin),
        "recipe": job.recipe.to_dict(),
        **_growth(job),
        **({} if job.speed is None else {"training_speed": job.speed.to_dict()}),
        "data": {
            "root": str(cars.root.absolute()),
            "layout": cars.layout,
            "num_classes": len(cars.classes),
            "num_images": cars.num_images,
            "validation_seed": cars.validation_seed,
        },
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "torchvision", "lightning")},
        },
        "machine": platform.machine(),
    }


def _growth(job: Job) -> dict[str, Any]:
    """Where photographs grow: the first epoch of each size, and the size."""
    if job.recipe.progressive is None:
        return {}
    sizes = job.recipe.resolutions(job.preprocessing.resolution)
    return {"training_resolutions": {str(sizes.index(size) + 1): size for size in sorted(set(sizes))}}


def _check_classes(cars: CarsData) -> None:
    missing = sorted(set(range(len(cars.classes))) - {sample.label for sample in cars.split("train")})
    if missing:
        raise DataError(
            f"{cars.root} has training photographs of {len(cars.classes) - len(missing)} of"
            f" {len(cars.classes)} classes (first missing: {cars.classes[missing[0]]}); the copy may be"
            f" incomplete. To train on fewer classes, list them in {cars.root / CLASSES_FILE}, one a line."
        )


def _figures(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith(("train_", "val_"))}


def _require_extra() -> None:
    missing = [
        name for name in ("lightning", "scipy", "matplotlib", "pydantic", "yaml") if find_spec(name) is None
    ]
    if missing:
        raise MissingExtraError(f"fine-tuning needs {', '.join(missing)}: pip install 'lightcars[cars]'")


def _check_accelerator(recipe: Recipe) -> None:
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    if recipe.precision == "16-mixed" and (recipe.accelerator == "cpu" or not gpu):
        raise ConfigError("precision 16-mixed needs a GPU; on a processor take bf16-mixed or 32-true.")
    if recipe.accelerator == "mps" or (recipe.accelerator == "gpu" and torch.backends.mps.is_available()):
        resolve_device("mps")
    elif recipe.accelerator in ("gpu", "cuda") or (
        recipe.accelerator == "auto" and torch.cuda.is_available()
    ):
        resolve_device("cuda")
        resolve_device(f"cuda:{recipe.devices - 1}")


def _warn_of_broken(photos: dict[str, DecodedPhotos]) -> None:
    for split, decoded in photos.items():
        if decoded.broken and is_first_process():
            warnings.warn(
                f"{len(decoded.broken)} photographs of {split} left out: {'; '.join(decoded.broken[:5])}",
                stacklevel=3,
            )
