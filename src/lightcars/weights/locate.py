"""Resolve `weights=` to a file and what is known about it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lightcars.errors import CheckpointError, ConfigError, DownloadError
from lightcars.models.preprocessing import Preprocessing, timm_preprocessing
from lightcars.weights.availability import preferred
from lightcars.weights.catalog import (
    ENTRIES,
    IMAGENET_TAG,
    WeightsEntry,
    find_candidates,
    find_tag,
    unknown_weights,
)
from lightcars.weights.checkpoint import WEIGHTS_FILE, Card, read_card
from lightcars.weights.download import download
from lightcars.weights.hub import (
    CONFIG_FILE,
    FAMILIARITY_FILE,
    WEIGHTS_FILES,
    hub_file,
    hub_weights,
    split_hub_id,
)
from lightcars.weights.imagenet import IMAGENET_CLASSES, imagenet_classes
from lightcars.weights.installed import installed_file
from lightcars.weights.publishers import from_timm
from lightcars.weights.tensors import PICKLED_SUFFIXES, SAFE_SUFFIX

_RUN_FOLDERS = frozenset(["runs", "checkpoints", "models", "weights", "outputs", "results"])
SHIPPED = Path(__file__).parent / "shipped"
"""Holds a folder, as `save` writes it, for each shipped checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A weights file on this machine and what is known about it.

    Attributes:
        path: of the file with the tensors.
        origin: what the user called it.
        card: of a lightcars folder.
        settings: of the model, as the catalog or a timm `config.json` say.
        preprocessing: likewise; None if unknown.
        architecture: the model that a timm `config.json` names, as it is registered here.
        exact: whether padding and batch norms are known, not guessed.
        imagenet: whether its outputs are those of ImageNet-1k.
        license: as the catalog states it; None if unknown.
    """

    path: Path
    origin: str
    card: Card | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    architecture: str | None = None
    exact: bool = False
    imagenet: bool = False
    license: str | None = None

    def classes(self) -> tuple[str, ...] | None:
        """Names of the outputs, if they are ImageNet-1k's."""
        return imagenet_classes() if self.imagenet else None


def locate(weights: str | Path, model: str) -> Located:
    """Find the weights, downloading them if needed.

    Args:
        weights: a tag of the catalog, a folder, a file, or a repository on the Hub; in this order.
        model: the registered model that they are for.

    Raises:
        UnknownWeightsError: none of all that.
        CheckpointError: a folder without weights, or weights of another model.
        DownloadError: they cannot be fetched.
    """
    text = str(weights)
    if isinstance(weights, str):
        candidates = find_candidates(model, weights)
        if candidates:
            return _from_candidates(candidates, weights)
    path = Path(weights).expanduser()
    if path.is_dir():
        return in_folder(path)
    if path.is_file():
        return _file(path)
    hub_id = split_hub_id(text) if isinstance(weights, str) else None
    other = find_tag(text)
    if other is not None and text != IMAGENET_TAG:
        raise CheckpointError(f"{other.tag} is for {other.model}, not for {model}.")
    if hub_id is None or path.suffix in (SAFE_SUFFIX, *PICKLED_SUFFIXES) or is_local_path(text):
        raise unknown_weights(model, text)
    return _on_hub(*hub_id)


def is_local_path(text: str) -> bool:
    """Return whether "runs/firts" is a misspelt path rather than a repository.

    Its first part is a folder here, or has the name of one that holds runs; such an owner on the Hub needs
    the prefix "hf-hub:".
    """
    parent = Path(text).parent
    return parent != Path() and (parent.is_dir() or parent.name.lower() in _RUN_FOLDERS)


def _from_candidates(candidates: Sequence[WeightsEntry], tag: str) -> Located:
    """Take the best entry that needs no download; where all need one, download the best."""
    best = candidates[0]
    entry = preferred(candidates)
    if entry is not best:
        warnings.warn(
            f"{tag}: using {entry.tag}, which is on this machine; {best.tag} is better and would be"
            f" downloaded (weights={best.tag!r}).",
            stacklevel=5,
        )
    try:
        return _from_catalog(entry)
    except DownloadError as error:
        offline = find_tag(IMAGENET_TAG)
        if tag != IMAGENET_TAG or offline is None:
            raise
        raise DownloadError(
            f"{error} Without a download, {offline.model} has ImageNet weights: they come with lightcars."
        ) from error


def _from_catalog(entry: WeightsEntry) -> Located:
    if entry.packaged is not None:
        return replace(in_folder(SHIPPED / entry.packaged), origin=entry.tag, license=entry.license)
    if entry.package is not None:
        path = installed_file(entry.package, str(entry.file), sha256=str(entry.sha256))
    elif entry.hub_id is not None:
        path = hub_file(entry.hub_id, WEIGHTS_FILE, revision=entry.revision, sha256=entry.sha256)
    else:
        assert entry.url is not None
        path = download(entry.url, sha256=entry.sha256)
    return Located(
        path=path,
        origin=entry.tag,
        settings=entry.settings,
        preprocessing=entry.preprocessing,
        exact=True,
        imagenet=entry.num_classes == IMAGENET_CLASSES,
        license=entry.license,
    )


def in_folder(folder: Path) -> Located:
    """Return the weights in a folder, with what its `config.json` says."""
    path = _weights_in(folder)
    config = folder / CONFIG_FILE
    return _with_config(path, str(folder), config if config.is_file() else None)


def _on_hub(repository: str, revision: str | None) -> Located:
    path, config = hub_weights(repository, revision=revision)
    return _with_config(path, f"{repository}@{revision}" if revision else repository, config)


def _file(path: Path) -> Located:
    """Return a single file: a published one is known by its name, others by a `config.json` beside them."""
    entry = next((entry for entry in ENTRIES if entry.url and entry.url.endswith(f"/{path.name}")), None)
    if entry is not None:
        return Located(
            path=path,
            origin=str(path),
            settings=entry.settings,
            preprocessing=entry.preprocessing,
            architecture=entry.model,
            exact=True,
            imagenet=entry.num_classes == IMAGENET_CLASSES,
            license=entry.license,
        )
    config = path.with_name(CONFIG_FILE)
    return _with_config(path, str(path), config if config.is_file() else None)


def _weights_in(folder: Path) -> Path:
    for name in WEIGHTS_FILES:
        if (folder / name).is_file():
            return folder / name
    others = (path for path in sorted(folder.iterdir()) if path.name != FAMILIARITY_FILE)
    found = [path for path in others if path.suffix in (SAFE_SUFFIX, *PICKLED_SUFFIXES)]
    if len(found) != 1:
        shown = ", ".join(path.name for path in found) or "none"
        raise CheckpointError(
            f"{folder} must hold {WEIGHTS_FILE}, or one weights file; it holds {shown}. Name the file itself."
        )
    return found[0]


def _with_config(path: Path, origin: str, config: Path | None) -> Located:
    if config is None:
        return Located(path=path, origin=origin)
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{config} is not JSON ({error}); copy it again.") from error
    except OSError as error:
        raise CheckpointError(
            f"{config} cannot be read ({error.strerror}); check its permissions."
        ) from error
    if isinstance(content, dict) and "format" in content:
        return Located(path=path, origin=origin, card=read_card(config.parent), exact=True)
    if isinstance(content, dict) and isinstance(content.get("architecture"), str):
        return _as_timm_says(path, origin, content, config)
    return Located(path=path, origin=origin)


def _as_timm_says(path: Path, origin: str, content: dict[str, Any], config: Path) -> Located:
    model, settings = from_timm(content["architecture"])
    try:
        preprocessing = timm_preprocessing(content)
    except ConfigError as error:
        raise CheckpointError(f"{config} does not give timm's preprocessing ({error}).") from error
    return Located(
        path=path,
        origin=origin,
        settings=settings,
        preprocessing=preprocessing,
        architecture=model,
        exact=True,
        imagenet=_is_imagenet(content),
    )


def _is_imagenet(content: Mapping[str, Any]) -> bool:
    """timm's tags end in the data of the last training; other data may have a thousand classes too."""
    tag = str(content.get("pretrained_cfg", content).get("tag", ""))
    classes = content.get("num_classes", content.get("pretrained_cfg", {}).get("num_classes"))
    return classes == IMAGENET_CLASSES and tag.endswith("in1k")
