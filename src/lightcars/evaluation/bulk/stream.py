"""Images in, results out: read in threads while the engine runs, in order, in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightcars.errors import LightcarsError
from lightcars.evaluation.bulk.engine import Classifier, Scores
from lightcars.evaluation.finding import views_of
from lightcars.evaluation.guesses import Answer, Guess
from lightcars.evaluation.views import Views, as_channels
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
        answer: what is said of it; None for an image that could not be read.
        error: why it could not be read.
    """

    source: Source
    answer: Answer | None = None
    error: LightcarsError | None = None

    @property
    def guesses(self) -> tuple[Guess, ...]:
        """The most likely classes; empty for an image that could not be read."""
        return () if self.answer is None else self.answer.guesses

    @property
    def familiar(self) -> bool | None:
        """As in `Prediction`."""
        return None if self.answer is None else self.answer.familiar


def to_row(result: Result[str]) -> dict[str, Any]:
    """Return the result for an image with a name as plain data, for JSON and for tables."""
    if result.answer is None:
        return {"image": result.source, "error": str(result.error)}
    return {"image": result.source, **result.answer.to_dict()}


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
    waiting: deque[list[tuple[Source, Future[_Read | LightcarsError]]]] = deque()
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


@dataclass(frozen=True, slots=True)
class _Read:
    """What is classified of one image.

    Attributes:
        pixels: (K, H, W, C), one for each view.
        views: its views, without their images.
    """

    pixels: NDArray[np.uint8]
    views: Views


def _read(classifier: Classifier, read: Reader[Any], source: Any) -> _Read | LightcarsError:
    """Return what is classified of an image, or why it cannot be read."""
    preprocessing = classifier.trained.preprocessing
    channels = len(preprocessing.mean)
    try:
        image = read(source, channels if classifier.finder is None else 3)
    except LightcarsError as error:
        return error
    views = views_of(image, classifier.finder, all_cars=classifier.options.all_cars)
    fit = fit_square(preprocessing)
    pixels = [np.atleast_3d(np.asarray(fit(as_channels(view, channels)))) for view in views.images]
    return _Read(np.stack(pixels), replace(views, images=()))


def _classified(
    classifier: Classifier, outcomes: list[tuple[Source, _Read | LightcarsError]], top: int
) -> list[Result[Source]]:
    images = [outcome.pixels for _, outcome in outcomes if isinstance(outcome, _Read)]
    scores = iter(_scores(classifier, np.concatenate(images), top) if images else ())
    results = []
    for source, outcome in outcomes:
        if isinstance(outcome, LightcarsError):
            results.append(Result(source=source, error=outcome))
            continue
        guesses, familiar = zip(*islice(scores, len(outcome.pixels)), strict=True)
        results.append(Result(source=source, answer=outcome.views.answer(list(guesses), list(familiar))))
    return results


def _scores(classifier: Classifier, images: NDArray[np.uint8], top: int) -> list[Scores]:
    """Return the scores of (N, H, W, C) images, of which there are more than a batch where there are cars."""
    size = classifier.choice.batch_size
    return [
        score
        for first in range(0, len(images), size)
        for score in classifier(images[first : first + size], top)
    ]
