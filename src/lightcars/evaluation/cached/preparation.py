"""Prepare the engine with which the next `lightcars predict` starts without torch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightcars.deploy.finder import write_finder
from lightcars.deploy.packages import quietly
from lightcars.deploy.reference import Reference
from lightcars.deploy.runners import ENGINES
from lightcars.deploy.source import Source
from lightcars.deploy.temporary import temporary_folder
from lightcars.deploy.verification import verify
from lightcars.errors import MissingExtraError
from lightcars.evaluation.bulk.engine import LogitsAndPlace
from lightcars.evaluation.cached.entries import Place, files_of, states
from lightcars.evaluation.cached.predictor import CENTERS, FINDER
from lightcars.runs.places import holds_model
from lightcars.runs.trained import TrainedModel, load_trained
from lightcars.weights.car_finder import HEAD_FILE, load_car_finder
from lightcars.weights.catalog import IMAGENET_TAG, find_tag
from lightcars.weights.hub import CONFIG_FILE
from lightcars.weights.locate import locate

ENGINE = "onnxruntime"


def prepare(place: Place, run: str) -> bool:
    """Convert the weights, verify the engine's outputs, and cache it; return whether that succeeded.

    Where the engine fails or its outputs do not match, that is cached too, so that it is not tried each time.
    """
    watched = _files(run)
    before = states(watched)
    trained = load_trained(run, "cpu")
    if trained.expects_cut_cars:
        finder_files = [str(HEAD_FILE), *_files(IMAGENET_TAG)]
        watched, before = [*watched, *finder_files], [*before, *states(finder_files)]
    record: dict[str, Any] = {"engine": None, "watched": watched, "states": before}
    with temporary_folder() as folder:
        try:
            problem = _convert(trained, folder)
        except (OSError, MemoryError, MissingExtraError):  # which may be gone the next time
            return False
        except Exception as error:  # whatever an engine raises
            problem = str(error)
        if problem is None:
            record |= {
                "engine": ENGINE,
                "expects_cut_cars": trained.expects_cut_cars,
                "has_detector": trained.model.familiarity is not None,
                "classes": list(trained.classes),
                "preprocessing": asdict(trained.preprocessing),
                "temperature": trained.model.temperature,
            }
        if states(watched) != before:
            return False
        files = sorted(folder.iterdir()) if problem is None else []
        return place.cache.store(place.key, record, files) and problem is None


def _files(run: str) -> list[str]:
    """Return the files from which the model is loaded."""
    if holds_model(Path(run)):
        return files_of(Path(run))
    entry = find_tag(run)
    assert entry is not None
    file = locate(entry.tag, entry.model).path
    return files_of(file.parent) if (file.parent / CONFIG_FILE).is_file() else [str(file)]


def _convert(trained: TrainedModel, folder: Path) -> str | None:
    """Write the engine's files; return why its outputs do not match, or None if they do."""
    model, familiarity = trained.model, trained.model.familiarity
    source = Source(
        model=model if familiarity is None else LogitsAndPlace(model, familiarity),
        batch=1,
        resolution=trained.preprocessing.resolution,
        threads=torch.get_num_threads(),
    )
    runner = ENGINES[ENGINE].runner
    with torch.inference_mode(mode=False), quietly():
        runner.prepare(source, "fp32", folder)
        run = runner.start(source, "fp32", folder)
        result = verify(run, "fp32", source, Reference.of(source))
    if familiarity is not None:
        centers = familiarity.centers.to("cpu", torch.float32) / familiarity.limit
        np.save(folder / CENTERS, centers.numpy())
    if trained.expects_cut_cars:
        write_finder(load_car_finder(torch.device("cpu")), folder / FINDER)
    return result.problem
