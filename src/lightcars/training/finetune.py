"""Fine-tuning in one call: data in, run folder and model out."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightcars.augmentation.image import augmentation
from lightcars.data.dataset import DecodedImages, decode
from lightcars.errors import DataError, MissingExtraError
from lightcars.evaluation.evaluate import evaluate
from lightcars.evaluation.predictions import predict_images, write_predictions
from lightcars.files import write_text
from lightcars.models.image_model import ImageModel
from lightcars.recipes.recipe import Recipe
from lightcars.reports import draw_curves, report
from lightcars.runs.folder import Row, best_row, claim, describe
from lightcars.runs.selection import CHOSEN_ON_TEST, note_on_choice
from lightcars.runs.trained import load_trained
from lightcars.training.callbacks.trackers import DEFAULT_TRACKERS, check_trackers
from lightcars.training.distributed.processes import is_first_process
from lightcars.training.job import TrainingJob, chosen_recipe, description, new_job, resumed_job
from lightcars.training.malloc import memory_kept
from lightcars.training.resident import place
from lightcars.training.speed import device_of, settle
from lightcars.weights.checkpoint import load, save

if TYPE_CHECKING:
    from lightcars.training.callbacks.tracking import Loggers


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
        data: a folder in one of the layouts of `lightcars.data.layouts`.
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
    chosen = chosen_recipe(recipe, model, test=test, required=not resume)
    if resume:
        job = resumed_job(data, chosen, out)
    else:
        assert chosen is not None
        job = new_job(data, None if isinstance(model, str) else model, chosen, out)
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


def _trained(
    job: TrainingJob,
    photos: dict[str, DecodedImages],
    trackers: Sequence[str],
    *,
    resume: bool,
    progress: bool,
) -> tuple[TrainingJob, list[Row]]:
    """Settles what is to be measured and trains; the job as it was run, and the rows of its table."""
    from lightcars.training.callbacks.tracking import (  # lightning takes seconds to import
        closing,
        resume_trackers,
    )
    from lightcars.training.trainer import train

    if is_first_process():  # the others ask it; see SameSpeed
        job = _settled(job, photos)
    loggers: Loggers = {}
    if is_first_process():
        loggers = resume_trackers(job, trackers) if resume else _begin(job, trackers)
    with closing(loggers):
        return job, train(job, photos["train"], photos["val"], loggers=loggers, progress=progress)


def _photos(job: TrainingJob, *, progress: bool) -> dict[str, DecodedImages]:
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


def _settled(job: TrainingJob, photos: dict[str, DecodedImages]) -> TrainingJob:
    """The job with nothing left to measure or to choose."""
    side = job.preprocessing.resolution
    recipe, speed = settle(job.recipe, job.network, side, len(photos["train"].labels))
    steps = augmentation(recipe.augment, side, len(job.cars.classes)).image.steps
    recipe, said = place(recipe, steps, sum(decoded.pixels.nbytes for decoded in photos.values()))
    return replace(job, recipe=recipe, speed=speed, place=said)


def _tested(job: TrainingJob, data: str | Path) -> dict[str, float]:
    figures = evaluate(
        job.run.best, data, split="test", region=job.recipe.val_region, device=_device(job.recipe)
    )
    return {
        "test_top1_percent": figures.top1_percent,
        "test_top5_percent": figures.top5_percent,
        "test_loss": figures.loss,
    }


def _begin(job: TrainingJob, trackers: Sequence[str]) -> Loggers:
    from lightcars.training.callbacks.tracking import open_trackers

    made = not job.run.path.exists()
    claim(job.run.path)
    try:
        save(job.network, job.run.initial, classes=job.cars.classes, preprocessing=job.preprocessing)
        loggers, runs = open_trackers(job, dict.fromkeys(trackers))
        describe(job.run, {**description(job), "trackers": trackers, "tracker_runs": runs})
    except BaseException:  # Ctrl-C while a tracker waits for the network
        shutil.rmtree(job.run.path, ignore_errors=True)
        if not made:
            job.run.path.mkdir(exist_ok=True)
        raise
    return loggers


def _predict(job: TrainingJob, val: DecodedImages) -> None:
    trained = load_trained(job.run.path, _device(job.recipe))
    predictions = predict_images(trained, val, job.cars.root, job.recipe.batch_size)
    predictions = replace(predictions, note=note_on_choice(job.recipe.select_on))
    write_predictions(predictions, job.run.predictions)


def _device(recipe: Recipe) -> str | None:
    return "cpu" if recipe.accelerator == "cpu" else None


def _figures(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith(("train_", "val_"))}


def _require_extra() -> None:
    missing = [
        name for name in ("lightning", "scipy", "matplotlib", "pydantic", "yaml") if find_spec(name) is None
    ]
    if missing:
        raise MissingExtraError(f"fine-tuning needs {', '.join(missing)}: pip install 'lightcars[cars]'")


def _warn_of_broken(photos: dict[str, DecodedImages]) -> None:
    for split, decoded in photos.items():
        if decoded.broken and is_first_process():
            warnings.warn(
                f"{len(decoded.broken)} photographs of {split} left out: {'; '.join(decoded.broken[:5])}",
                stacklevel=3,
            )
