"""Fine-tuning in one call: data in, run folder and model out."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightcars.data.dataset import DecodedImages, decode
from lightcars.errors import ConfigError, DataError, MissingExtraError, RunError
from lightcars.evaluation.evaluate import evaluate
from lightcars.evaluation.predictions import predict_images, write_predictions
from lightcars.files import write_text
from lightcars.models.image_model import ImageModel
from lightcars.models.unwrapping import unwrap_model
from lightcars.progress import wants_progress
from lightcars.recipes.recipe import Recipe
from lightcars.reports import draw_curves, report
from lightcars.runs.folder import Row, RunFolder, best_row, claim
from lightcars.runs.images import image_keys, write_list
from lightcars.runs.lock import RunLock
from lightcars.runs.selection import CHOSEN_ON_TEST, note_on_choice
from lightcars.runs.state import remove_partial, restore_state
from lightcars.runs.trained import load_trained
from lightcars.text import json_text
from lightcars.training.callbacks.tracker_names import DEFAULT_TRACKERS, check_trackers
from lightcars.training.decisions import decide, describe, unreadable
from lightcars.training.default_recipe import default_recipe
from lightcars.training.distributed.processes import is_first_process
from lightcars.training.job import TrainingJob, chosen_recipe, new_job, resumed_job
from lightcars.training.malloc import memory_kept
from lightcars.training.result import FinetuneResult
from lightcars.training.speed import device_of
from lightcars.weights.checkpoint import load, save

if TYPE_CHECKING:
    from lightcars.training.callbacks.trackers import Loggers


def finetune(
    data: str | Path,
    *,
    model: str | ImageModel | None = None,
    recipe: Recipe | str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    test: bool = False,
    trackers: Sequence[str] | str | None = None,
    progress: bool | None = None,
    **changes: Any,
) -> FinetuneResult:
    """Fine-tune a model on a folder of images and write a run folder.

    The best epoch is the one with the highest top-1 on the validation split; if the data have none, it is
    split off from the training images (seeded, 12 % of each class). A test split is not used, unless `test`
    asks for it once at the end, or the recipe reproduces a thesis that selected on it.

    Args:
        data: a folder in one of the layouts of `lightcars.data.layouts`.
        model: a registered name, or a model, which is trained in place: it gets a new classifier unless its
            number of classes is that of the data. None is the recipe's model, with its weights and settings,
            which another model does not take over.
        recipe: a `Recipe`, the name of one that ships, or a YAML file. None is `Recipe()`, or "few-images" if
            there is no model either: EfficientNet-Lite0 from ImageNet weights (not for Stanford Cars).
        out: the run folder, new or empty; the default is `runs/<model>-<time>`.
        resume: resume the run in `out` after its last complete epoch; model and recipe are the run's own. The
            result is that of a run that was not stopped. The number of workers may differ.
        test: evaluate the best model on the test split at the end, and add its metrics.
        trackers: "tensorboard", "wandb", "mlflow", beside metrics.csv; ("none",) for none. None is
            TensorBoard, or what the resumed run had. One that fails is left out with a warning.
        progress: show progress bars; None: in notebooks.
        changes: keys of the recipe with other values: `epochs`, `resolution`, `batch_size`, `seed`,
            `precision`, ... (see `Recipe`).

    Raises:
        DataError: missing images, or unknown classes; a resumed run has other images than before.
        ConfigError, UnknownModelError: an invalid setting or name.
        RunError: the run folder is taken, in use, damaged, or cannot be written to; a tracker cannot start; a
            worker process died.
        MissingExtraError: a package is not installed.
        NonFiniteLossError: the loss became infinite or not a number; `best/` keeps the best model so far.
        KeyboardInterrupt: the user stopped it; `resume=True` continues the run.
    """
    _require_extra()
    if model is not None and not isinstance(model, str):
        model = unwrap_model(model, "finetune trains a model of lightcars", ConfigError)
    named = None if trackers is None else check_trackers(trackers)
    if model is None and recipe is None and not resume:
        recipe = default_recipe(data)
    chosen = chosen_recipe(recipe, model, test=test, required=not resume, changes=changes)
    with RunLock() as lock:
        if resume:
            _lock_existing(lock, out)
            job = resumed_job(data, chosen, out)
        else:
            assert chosen is not None
            job = new_job(data, None if isinstance(model, str) else model, chosen, out)
        if resume and job.run.summary.is_file():  # nothing left to do, unless it was killed just then
            if is_first_process():
                _finish(job.run, rewrite=False)
            return FinetuneResult(load(job.run.best), _finished_metrics(job.run), job.run.path)
        if named is None:
            named = check_trackers(job.before.trackers if job.before else DEFAULT_TRACKERS)
        return _run(job, data, named, lock, progress=wants_progress(progress) and is_first_process())


def _lock_existing(lock: RunLock, out: str | Path | None) -> None:
    """Lock the run folder to be resumed, and clean up after a killed process."""
    if out is None or not is_first_process() or not RunFolder(Path(out)).description.is_file():
        return
    run = RunFolder(Path(out))
    lock.acquire(run.path)
    remove_partial(run)
    note = None if run.summary.is_file() else restore_state(run)
    if note is not None:
        warnings.warn(note, stacklevel=3)


def _run(
    job: TrainingJob, data: str | Path, trackers: Sequence[str], lock: RunLock, *, progress: bool
) -> FinetuneResult:
    """Decode the images, decide the job, train it, and write what is left to write."""
    from lightcars.training.callbacks.trackers import closing  # lightning takes seconds to import
    from lightcars.training.trainer import train

    images = _images(job, progress=progress)
    _check_readable(job, images)
    with memory_kept(device_of(job.recipe)):
        job = decide(job, images)
        loggers = _begin(job, images, trackers, lock) if is_first_process() else {}
        with closing(loggers):
            rows = train(job, images["train"], images["val"], loggers=loggers, progress=progress)
    best = best_row(rows)
    metrics: dict[str, Any] = {"epochs": len(rows), "best_epoch": int(best["epoch"]), **_metrics(best)}
    metrics |= {"selected_on": "test", "note": CHOSEN_ON_TEST} if job.recipe.select_on == "test" else {}
    if is_first_process():
        draw_curves(rows, job.run.curves, select_on=job.recipe.select_on)
        _predict(job, images["val"])
        metrics |= _tested(job, data) if job.recipe.test else {}
        write_text(job.run.summary, json_text(metrics, ensure_ascii=True) + "\n")
        _finish(job.run, rewrite=True)
    return FinetuneResult(load(job.run.best), metrics, job.run.path)


def _finish(run: RunFolder, *, rewrite: bool) -> None:
    """Remove what only a run that goes on needs, and write the report, over one that is there if asked."""
    shutil.rmtree(run.initial, ignore_errors=True)
    with suppress(OSError):
        run.previous.unlink(missing_ok=True)
    if rewrite or not run.report.exists():
        report(run.path)


def _finished_metrics(run: RunFolder) -> dict[str, Any]:
    try:
        metrics = json.loads(run.summary.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{run.summary} cannot be read ({error}).") from error
    if not isinstance(metrics, dict):
        raise RunError(f"{run.summary} cannot be read (it is not an object).")
    return metrics


def _images(job: TrainingJob, *, progress: bool) -> dict[str, DecodedImages]:
    """Decode training and validation images into memory; "val" is the split that selects."""
    recipe = job.recipe
    side = recipe.decode_resolution or job.preprocessing.resolution
    larger = replace(job.preprocessing, resolution=side)
    train, val = job.records.split("train"), job.records.split(recipe.select_on)
    images = {
        "train": decode(train, larger, region=recipe.region, name="train", progress=progress),
        "val": decode(
            val, job.preprocessing, region=recipe.val_region, name=recipe.select_on, progress=progress
        ),
    }
    found, num_devices = len(images["train"].labels), recipe.devices * recipe.num_nodes
    if found < num_devices:
        raise DataError(f"{found} training images are too few for {num_devices} devices.")
    return images


def _check_readable(job: TrainingJob, images: Mapping[str, DecodedImages]) -> None:
    """Warn of images that cannot be read; a resumed run must have the same ones as before.

    Raises:
        DataError: an image cannot be read that could be when the run was started, or the other way round.
    """
    broken = {split: part.broken for split, part in images.items() if part.broken}
    before = job.before
    if before is not None and before.data.digests and unreadable(images) != before.data.unreadable:
        first = next((problem for problems in broken.values() for problem in problems), "none")
        raise DataError(
            f"unreadable images: {unreadable(images) or 'none'}; when the run was started:"
            f" {dict(before.data.unreadable) or 'none'} (first: {first}); resume with the same images."
        )
    for split, problems in broken.items() if is_first_process() else ():
        warnings.warn(
            f"{len(problems)} images of {split} left out: {'; '.join(problems[:5])}",
            stacklevel=4,
        )


def _tested(job: TrainingJob, data: str | Path) -> dict[str, float]:
    metrics = evaluate(
        job.run.best, data, split="test", region=job.recipe.val_region, device=_device(job.recipe)
    )
    return {
        "test_top1_percent": metrics.top1_percent,
        "test_top5_percent": metrics.top5_percent,
        "test_loss": metrics.loss,
    }


def _begin(
    job: TrainingJob, images: Mapping[str, DecodedImages], trackers: Sequence[str], lock: RunLock
) -> Loggers:
    """Open the trackers; a new run gets its folder, with its first weights and its description."""
    from lightcars.training.callbacks.trackers import open_trackers, resume_trackers

    if job.before is not None:
        return resume_trackers(job, job.before, trackers)
    created = not job.run.path.exists()
    claim(job.run.path)
    lock.acquire(job.run.path)
    try:
        save(job.network, job.run.initial, classes=job.records.classes, preprocessing=job.preprocessing)
        write_list(job.run.initial, image_keys(job.records))
        loggers, runs = open_trackers(job, dict.fromkeys(trackers))
        description = describe(job, images)
        job.run.write(replace(description, trackers=tuple(trackers), tracker_runs=runs))
    except BaseException:  # Ctrl-C while a tracker waits for the network
        shutil.rmtree(job.run.path, ignore_errors=True)
        if not created:
            job.run.path.mkdir(exist_ok=True)
        raise
    return loggers


def _predict(job: TrainingJob, val: DecodedImages) -> None:
    trained = load_trained(job.run.path, _device(job.recipe))
    predictions = predict_images(trained, val, job.records.root, job.recipe.batch_size)
    predictions = replace(predictions, note=note_on_choice(job.recipe.select_on))
    write_predictions(predictions, job.run.predictions)


def _device(recipe: Recipe) -> str | None:
    return "cpu" if recipe.accelerator == "cpu" else None


def _metrics(row: Row) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith(("train_", "val_"))}


def _require_extra() -> None:
    missing = [
        name for name in ("lightning", "scipy", "matplotlib", "pydantic", "yaml") if find_spec(name) is None
    ]
    if missing:
        raise MissingExtraError(f"fine-tuning needs {', '.join(missing)}: pip install 'lightcars[cars]'")
