"""Images in, results out: read in threads while the engine runs, in order, in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightcars.errors import LightcarsError
from lightcars.evaluation.bulk.engine import Classifier
from lightcars.evaluation.guesses import Guess
from lightcars.models.transforms import fit_square

Source = TypeVar("Source")
Reader: TypeAlias = Callable[[Source, int], Image.Image]
"""An image's source, and its number of channels -> the image, upright; a bad one raises LightcarsError."""
READ_AHEAD = 2
"""Batches that are read while the engine runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Generic[Source]):
    """The result for one image.

    Attributes:
        source: the image, as it was given.
        guesses: the most likely classes; empty for an image that could not be read.
        familiar: as in `Prediction`.
        error: why the image could not be read.
    """

    source: Source
    guesses: tuple[Guess, ...] = ()
    familiar: bool | None = None
    error: LightcarsError | None = None


def to_row(result: Result[str]) -> dict[str, Any]:
    """Return the result for an image with a name as plain data, for JSON and for tables."""
    if result.error is not None:
        return {"image": result.source, "error": str(result.error)}
    return {
        "image": result.source,
        "familiar": result.familiar,
        "guesses": [{"name": guess.name, "probability": guess.probability} for guess in result.guesses],
    }


def classify(
    classifier: Classifier, sources: Iterable[Source], read: Reader[Source], *, top: int, workers: int
) -> Iterator[list[Result[Source]]]:
    """Yield the results of each batch, in the order of the images.

    Batch number k is always of the same images, so that a bad image does not change the others' batches.

    Args:
        classifier: the model in its engine.
        sources: names of images, or images; they are taken as they are needed.
        read: reads one of them.
        top: how many classes to return.
        workers: threads that read images.

    Raises:
        CheckpointError: the model's outputs are NaN or infinite.
    """
    remaining = iter(sources)
    work = partial(_read, classifier, read)
    waiting: deque[list[tuple[Source, Future[NDArray[np.uint8] | LightcarsError]]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="lightcars-reading")
    try:
        while True:
            while len(waiting) <= READ_AHEAD and (
                batch := list(islice(remaining, classifier.choice.batch_size))
            ):
                waiting.append([(source, pool.submit(work, source)) for source in batch])
            if not waiting:
                return
            outcomes = [(source, future.result()) for source, future in waiting.popleft()]
            yield _classified(classifier, outcomes, top)
    finally:
        pool.shutdown(cancel_futures=True)


def _read(classifier: Classifier, read: Reader[Any], source: Any) -> NDArray[np.uint8] | LightcarsError:
    """Return an image as (H, W, C), or why it cannot be read."""
    preprocessing = classifier.trained.preprocessing
    try:
        image = read(source, len(preprocessing.mean))
    except LightcarsError as error:
        return error
    return np.atleast_3d(np.asarray(fit_square(preprocessing)(image)))


def _classified(
    classifier: Classifier, outcomes: list[tuple[Source, NDArray[np.uint8] | LightcarsError]], top: int
) -> list[Result[Source]]:
    images = [outcome for _, outcome in outcomes if isinstance(outcome, np.ndarray)]
    scores = iter(classifier(np.stack(images), top) if images else ())
    results = []
    for source, outcome in outcomes:
        if isinstance(outcome, LightcarsError):
            results.append(Result(source=source, error=outcome))
        else:
            guesses, familiar = next(scores)
            results.append(Result(source=source, guesses=guesses, familiar=familiar))
    return results
