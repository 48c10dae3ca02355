"""Decide what a recipe leaves open, and describe the run, before anything is built."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

from lightcars.augmentation.image import augmentation
from lightcars.data.dataset import DecodedImages
from lightcars.deploy.cpu import device_name
from lightcars.recipes.recipe import DECIDED
from lightcars.runs.description import DataDescription, ModelDescription, RunDescription
from lightcars.runs.images import digests, image_keys
from lightcars.training.distributed.processes import hand_on, handed_on, is_first_process
from lightcars.training.job import TrainingJob
from lightcars.training.resident import place
from lightcars.training.speed import decide_speed, device_of
from lightcars.version import __version__


def decide(job: TrainingJob, images: Mapping[str, DecodedImages]) -> TrainingJob:
    """Return the job with everything decided that its recipe leaves open; nothing is built before.

    The first process hands its decisions on to those that it starts. Processes that are started from outside
    decide alike, by what the machine has.
    """
    handed = handed_on(job.run.path)
    if handed is not None:
        return replace(job, recipe=replace(job.recipe, **handed))
    side = job.preprocessing.resolution
    recipe, speed = decide_speed(job.recipe, job.network, side, len(images["train"].labels))
    steps = augmentation(recipe.augment, side, len(job.records.classes)).image.steps
    recipe, line = place(recipe, steps, sum(part.pixels.nbytes for part in images.values()))
    if is_first_process():
        hand_on(job.run.path, {name: getattr(recipe, name) for name in DECIDED})
    return replace(job, recipe=recipe, speed=speed, place=line)


def describe(job: TrainingJob, images: Mapping[str, DecodedImages]) -> RunDescription:
    """Return what `run.json` keeps of a new run, before its trackers are known."""
    device, count = device_name(device_of(job.recipe)), job.recipe.devices * job.recipe.num_nodes
    records, resolutions = job.records, job.recipe.resolutions(job.preprocessing.resolution)
    return RunDescription(
        lightcars_version=__version__,
        model=ModelDescription(name=job.name, config=job.network.config),
        weights=None if job.network.origin is None else str(job.network.origin),
        recipe=job.recipe,
        training_resolutions=resolutions.changes() if job.recipe.progressive else {},
        training_speed=job.speed,
        data=DataDescription(
            root=records.root.absolute(),
            layout=records.layout,
            num_classes=len(records.classes),
            num_images=records.num_images,
            validation_seed=records.validation_seed,
            digests=digests(image_keys(records)),
            unreadable=unreadable(images),
        ),
        versions={
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "torchvision", "lightning")},
        },
        machine=platform.machine(),
        started=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        device=device if count == 1 else f"{count} x {device}",
    )


def unreadable(images: Mapping[str, DecodedImages]) -> dict[str, int]:
    """Count the images of each split that could not be read, where there are any."""
    return {split: len(part.broken) for split, part in images.items() if part.broken}
