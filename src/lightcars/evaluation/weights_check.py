"""Check published weights: load them, verify their digest, classify labeled images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lightcars.data.class_matching import class_key
from lightcars.data.dataset import decode
from lightcars.data.layouts.folders import images, subfolders
from lightcars.data.records import Sample
from lightcars.errors import CheckpointError, DataError
from lightcars.evaluation.predictions import predict_images
from lightcars.files import file_digest
from lightcars.runs.trained import TrainedModel
from lightcars.text import json_text
from lightcars.weights.catalog import WeightsEntry, find_tag
from lightcars.weights.imagenet import imagenet_classes, imagenet_ids
from lightcars.weights.locate import locate
from lightcars.weights.pretrained import load_pretrained


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsCheck:
    """What `check_weights` found.

    Attributes:
        tag: of the weights.
        model: the registered model that they fit.
        pinned_by: "sha256 ..." (verified), "commit ..." (which the Hub's client asks for), "shipped" or
            "unpinned".
        num_images: images that were classified; 0 without data.
        broken: a message for each image that could not be read.
        num_right: images whose class is the most likely one.
        top1_percent, top5_percent: of the images; None without data.
        published_top1_percent: on the data that the publisher names; None if no source states it.
        published_data: what the published accuracy was measured on.
    """

    tag: str
    model: str
    pinned_by: str
    num_images: int = 0
    broken: tuple[str, ...] = ()
    num_right: int = 0
    top1_percent: float | None = None
    top5_percent: float | None = None
    published_top1_percent: float | None = None
    published_data: str = ""

    def to_json(self) -> str:
        """Return all of it as one JSON object."""
        return json_text(asdict(self))


def check_weights(
    model: str,
    weights: str = "imagenet",
    *,
    data: str | Path | None = None,
    batch_size: int = 64,
    progress: bool = False,
) -> WeightsCheck:
    """Load published weights and classify labeled images with them.

    The file is compared with the digest that the catalog pins it by, also if it was on this machine before.

    Args:
        model: a registered name.
        weights: a tag of `list_weights(model)`.
        data: a folder whose subfolders, or whose file names, tell the classes: a class name, or for
            ImageNet a WordNet ID ("n01440764_tench.webp"). None classifies nothing.
        batch_size: images per forward pass.
        progress: show a bar.

    Raises:
        UnknownModelError, UnknownWeightsError, DownloadError: they are unknown or cannot be fetched.
        CheckpointError: the file is not the published one, or has no class names.
        DataError: there is no image, or one that does not tell its class.
    """
    network = load_pretrained(model, weights, {})
    entry = find_tag("" if network.origin is None else network.origin.weights)
    if entry is None:
        raise CheckpointError(f"{weights} is not a published tag of {model}; see lightcars weights {model}.")
    _require_digest(entry, locate(entry.tag, model).path)
    if data is None:
        return _described(entry)
    if network.classes is None or network.preprocessing is None:
        raise CheckpointError(f"the class names of {entry.tag} are not known, so images cannot be checked.")
    samples = labeled_images(Path(data), network.classes)
    decoded = decode(samples, network.preprocessing, name=Path(data).name, progress=progress)
    trained = TrainedModel(network, network.classes, network.preprocessing, torch.device("cpu"))
    predictions = predict_images(trained, decoded, Path(data), batch_size)
    return _described(
        entry,
        num_images=len(decoded.labels),
        broken=decoded.broken,
        num_right=int(predictions.hits.sum()),
        top1_percent=predictions.top1_percent,
        top5_percent=predictions.top5_percent,
    )


def _require_digest(entry: WeightsEntry, path: Path) -> None:
    """Raise CheckpointError for a file that is not the pinned one."""
    if entry.sha256 is not None and not file_digest(path).startswith(entry.sha256):
        raise CheckpointError(
            f"{path} is not the published file: its sha256 does not begin with {entry.sha256}; remove it to"
            " download it again."
        )


def _described(entry: WeightsEntry, **found: object) -> WeightsCheck:
    fixed = {
        "tag": entry.tag,
        "model": entry.model,
        "pinned_by": entry.pin,
        "published_top1_percent": entry.top1_percent,
        "published_data": entry.data,
    }
    return WeightsCheck(**{**fixed, **found})  # type: ignore[arg-type]


def labeled_images(folder: Path, classes: Sequence[str]) -> list[Sample]:
    """Return the images of a folder with the labels that their subfolders or names tell.

    Raises:
        DataError: there is no folder or no image, or one of them tells no class.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}.")
    labels = _labels(classes)
    inner = [(path, path.parent.name) for each in subfolders(folder) for path in images(each)]
    named = inner or [(path, path.stem) for path in images(folder)]
    if not named:
        raise DataError(f"{folder} contains no images.")
    samples, unknown = [], []
    for path, name in named:
        label = _label(name, labels)
        if label is None:
            unknown.append(path)
        else:
            samples.append(Sample(path, label))
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(named)} images are not labeled with a class of the model (first:"
            f" {unknown[0]}); their"
            " subfolders or names must be class names, or WordNet IDs for ImageNet."
        )
    return samples


def _labels(classes: Sequence[str]) -> Mapping[str, int]:
    labels = {class_key(name): label for label, name in enumerate(classes)}
    if tuple(classes) == imagenet_classes():
        labels |= {wordnet_id: label for label, wordnet_id in enumerate(imagenet_ids())}
    return labels


def _label(name: str, labels: Mapping[str, int]) -> int | None:
    wordnet_id = re.match(r"n\d{8}", name)
    if wordnet_id is not None and wordnet_id[0] in labels:
        return labels[wordnet_id[0]]
    return labels.get(class_key(name))
