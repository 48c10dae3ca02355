"""Classify images with a trained model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, overload

import torch
from PIL import Image

from lightcars.data.car_names import Level
from lightcars.data.pixels import normalize, to_pixels
from lightcars.errors import ConfigError, InputError, LightcarsError
from lightcars.evaluation.bulk.reading import ImageSource, read_source
from lightcars.evaluation.finding import finder_for, views_of
from lightcars.evaluation.guesses import OWN_WEIGHTS, Prediction
from lightcars.evaluation.naming import Naming
from lightcars.evaluation.options import PredictOptions
from lightcars.evaluation.views import as_channels
from lightcars.models.images import without_advice
from lightcars.models.transforms import fit_square
from lightcars.runs.places import holds_model
from lightcars.runs.trained import TrainedModel, load_trained
from lightcars.weights.catalog import find_tag

BATCH_SIZE = 32
Several: TypeAlias = list[Any] | tuple[Any, ...] | Iterator[Any]
"""Images, each an `ImageSource`."""


@overload
def predict(
    run: ImageSource,
    images: None = None,
    *,
    top: int = 5,
    device: str | torch.device | None = None,
    engine: str = "eager",
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    level: Level = "full",
    cut: bool | None = None,
    all_cars: bool = False,
) -> Prediction: ...


@overload
def predict(
    run: Several,
    images: None = None,
    *,
    top: int = 5,
    device: str | torch.device | None = None,
    engine: str = "eager",
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    level: Level = "full",
    cut: bool | None = None,
    all_cars: bool = False,
) -> list[Prediction]: ...


@overload
def predict(
    run: str | Path,
    images: ImageSource | Iterable[ImageSource],
    *,
    top: int = 5,
    device: str | torch.device | None = None,
    engine: str = "eager",
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    level: Level = "full",
    cut: bool | None = None,
    all_cars: bool = False,
) -> list[Prediction]: ...


def predict(  # noqa: PLR0913 - the public function; what it passes on is grouped
    run: Any,
    images: Any = None,
    *,
    top: int = 5,
    device: str | torch.device | None = None,
    engine: str = "eager",
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    level: Level = "full",
    cut: bool | None = None,
    all_cars: bool = False,
) -> Prediction | list[Prediction]:
    """Return the most likely classes of each image, with their probabilities.

    `predict(image)` and `predict([image, ...])` use the weights for Stanford Cars that ship with the package:
    one image gives one prediction, a list gives a list. `predict(run, images)` uses others, and always gives
    a list. Probabilities are calibrated by temperature scaling if the weights have a temperature, as
    "cars196" does.

    Weights for cars were trained on images that are cut to one car, so with them the car is found first (see
    `Prediction.box`), and an image without a car is not familiar.

    An image is a path, an http(s) address, the `bytes` of an image file, a PIL image, an array (H, W) or
    (H, W, C), or a tensor (C, H, W). Arrays and tensors have uint8 or uint16, or floating-point numbers from
    0 to 1; they are not normalized yet.

    Args:
        run: a run folder (its best model is used), a checkpoint folder, or the tag of published weights:
            "cars196" ships with the package. The images, if `images` is left out.
        images: one image or several.
        top: how many classes to return.
        device: None: CUDA if it is available.
        engine: "eager" for PyTorch without changes; one of `lightcars.optimize`, in fp32; or "auto" for the
            fastest of these if there are at least 1,000 images.
        batch_size: images per forward pass, if there are several images.
        workers: threads that read images; None for the number of cores.
        level: of car names: "make", "model" (make and model) or "full"; probabilities of classes with one
            name are summed.
        cut: True for images that are cropped to their car already, so that it is not searched for; False
            to find the car for any weights; None finds it for the weights of 196 cars, unless they come from
            a run that was trained on whole images.
        all_cars: classify each car that is found (`Prediction.cars`), not the largest one alone.

    Raises:
        CheckpointError: there is no such model.
        DataError: a file is missing or is not an image; then nothing is returned.
        DownloadError: an address that cannot be fetched.
        InputError: something that is not an image, or a level that the classes do not have.
        ConfigError: all cars are asked for, but none is looked for; an unknown level.
    """
    from lightcars.evaluation.bulk.engine import is_count

    if not is_count(top):
        raise InputError(f"top must be an integer of at least 1, not {top}.")
    if images is None:
        _check_images(run)
        weights, images, single = OWN_WEIGHTS, run, _is_single(run)
    else:
        weights, single = run, False
    options = PredictOptions(level=level, cut=cut, all_cars=all_cars)
    trained = load_trained(weights, device)
    with without_advice():
        if _is_single(images) and engine == "eager":
            prediction = _predict_one(trained, images, top, options)
            return prediction if single else [prediction]
        several = [images] if _is_single(images) else images
        predictions = _predict_many(trained, several, top, options, engine, batch_size, workers)
    return predictions[0] if single else predictions


def _check_images(images: Any) -> None:
    """Raise InputError if somebody left out the images, or the run is not the first argument."""
    if images is None:
        raise InputError("name images: predict(image) or predict(run, images).")
    if isinstance(images, str | Path) and holds_model(Path(images)):
        raise InputError(f"{images} is a model; name images too: predict({str(images)!r}, images).")
    if isinstance(images, str) and find_tag(images) is not None and not os.path.lexists(images):
        raise InputError(f"{images} is a tag of weights; name images too: predict({images!r}, images).")


def _is_single(images: Any) -> bool:
    if isinstance(images, str | Path | bytes | bytearray | memoryview | Image.Image):
        return True
    return hasattr(images, "shape") or not isinstance(images, Iterable)


@torch.inference_mode()
def _predict_one(trained: TrainedModel, source: ImageSource, top: int, options: PredictOptions) -> Prediction:
    naming, finder = Naming(trained.classes, options.level), finder_for(trained, options)
    preprocessing, model = trained.preprocessing, trained.model
    channels = len(preprocessing.mean)
    image = read_source(source, channels if finder is None else 3, "the image")
    views = views_of(image, finder, all_cars=options.all_cars)
    fit = fit_square(preprocessing)
    pixels = torch.stack([to_pixels(fit(as_channels(view, channels))) for view in views.images])
    maps = model.features(normalize(pixels.to(trained.device), preprocessing))
    logits = model.forward_head(model.head(maps[-1])).float().cpu()
    guesses = naming.guesses(trained.probabilities(logits), top)
    familiar: list[bool | None] = [None] * len(pixels)
    if model.familiarity is not None:
        familiar = model.familiarity.is_familiar(maps).tolist()
    return Prediction.of(_path_of(source), views.answer(guesses, familiar))


def _predict_many(
    trained: TrainedModel,
    sources: Iterable[ImageSource],
    top: int,
    options: PredictOptions,
    engine: str,
    batch_size: int,
    workers: int | None,
) -> list[Prediction]:
    """Predict in batches. The first image that cannot be read is an error."""
    from lightcars.evaluation.bulk.engine import AUTO_FROM, EngineChoice, is_count, peek, start
    from lightcars.evaluation.bulk.stream import classify

    chosen = os.cpu_count() or 1 if workers is None else workers
    if not is_count(chosen):
        raise ConfigError(f"workers must be an integer of at least 1, not {chosen}.")
    choice = EngineChoice(engine=engine, batch_size=batch_size)
    channels = len(trained.preprocessing.mean) if finder_for(trained, options) is None else 3
    taken: Iterator[_Taken] = _take(sources, channels)
    if isinstance(sources, Sized):
        many = len(sources) >= AUTO_FROM
    else:
        many, taken = peek(taken)
    classifier = start(trained, choice, many=many, options=options)
    predictions = []
    for batch in classify(classifier, taken, _read_taken, top=top, workers=chosen):
        for result in batch:
            if result.error is not None:
                raise result.error
            assert result.answer is not None
            predictions.append(Prediction.of(result.source.path, result.answer))
    return predictions


@dataclass(slots=True)
class _Taken:
    """An image of several: to be read by another thread, or as it was when it was taken."""

    source: str | Path | bytes
    name: str
    path: Path | None
    copy: Image.Image | LightcarsError | None = None


def _take(sources: Iterable[ImageSource], img_channels: int) -> Iterator[_Taken]:
    """Yield images; those in memory are copied, as an iterator may change or reuse them."""
    for position, source in enumerate(sources):
        name = f"images[{position}]"
        if isinstance(source, str | Path | bytes):
            yield _Taken(source, name, _path_of(source))
            continue
        copy: Image.Image | LightcarsError
        try:
            copy = read_source(source, img_channels, name)
        except LightcarsError as error:  # raised once it is this image's turn
            copy = error
        yield _Taken(b"", name, None, copy)


def _read_taken(taken: _Taken, img_channels: int) -> Image.Image:
    copy, taken.copy = taken.copy, None  # results are kept longer than images
    if isinstance(copy, LightcarsError):
        raise copy
    return read_source(taken.source, img_channels, taken.name) if copy is None else copy


def _path_of(source: ImageSource) -> Path | None:
    from lightcars.evaluation.bulk.names import is_url

    if isinstance(source, str):
        return None if is_url(source) else Path(source)
    return source if isinstance(source, Path) else None
