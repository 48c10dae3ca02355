"""A trained model for `evaluate` and `predict`, from a run, a checkpoint folder or published weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lightcars.data.car_names import is_stanford_cars
from lightcars.errors import CheckpointError, DownloadError, did_you_mean
from lightcars.models.build import resolve_device
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.registry import MODELS
from lightcars.runs.folder import RunFolder
from lightcars.runs.places import holds_model
from lightcars.sharing import from_pretrained
from lightcars.weights.catalog import ENTRIES, IMAGENET_TAG, find_tag
from lightcars.weights.hub import BEST, CONFIG_FILE, split_hub_id
from lightcars.weights.locate import is_local_path
from lightcars.weights.pretrained import load_pretrained


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model in evaluation mode, with its class names and preprocessing.

    Attributes:
        model: the model.
        classes: names of its outputs, in order.
        preprocessing: what it expects of its input.
        device: where it is.
        expects_cut_cars: whether it was trained on images of cars that are cut to the cars' boxes.
    """

    model: ImageModel
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    device: torch.device
    expects_cut_cars: bool = False

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of (N, num_classes) logits, on the CPU, scaled by the temperature.

        Raises:
            CheckpointError: logits that are NaN or infinite.
        """
        scaled = logits.cpu().double() / self.model.temperature
        require_finite(scaled)
        return scaled.softmax(dim=1)


def require_finite(logits: Tensor) -> None:
    """Raise CheckpointError if a model's logits are NaN or infinite, so that no result comes from them."""
    if not bool(logits.isfinite().all()):
        raise CheckpointError(
            "the model's outputs are NaN or infinite, so its weights are not usable; use another checkpoint."
        )


def load_trained(weights: str | Path, device: str | torch.device | None = None) -> TrainedModel:
    """Load the best model of a run folder, the model of a checkpoint folder, or published weights.

    Args:
        weights: a run of `finetune`, what `save` wrote, a tag of `list_weights()` such as "cars196" or
            "timm/efficientnet_b0.ra_in1k", or a repository on the Hugging Face Hub.
        device: None selects CUDA if available.

    Raises:
        CheckpointError: none of them, or a checkpoint without class names or preprocessing.
        DownloadError: published weights that cannot be fetched.
    """
    target = resolve_device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model = load_model(weights, target)
    classes, preprocessing = model.classes, model.preprocessing
    if classes is None or preprocessing is None:
        raise CheckpointError(f"{weights} has no class names or preprocessing; save it with both to predict.")
    model = model.to(memory_format=torch.channels_last)
    return TrainedModel(model, classes, preprocessing, target, expects_cut_cars(weights, classes))


def expects_cut_cars(weights: str | Path, classes: tuple[str, ...]) -> bool:
    """Return whether weights for the classes of Stanford Cars were trained on cars cut to their boxes.

    False for a run that says otherwise: of images that have boxes it took the whole.
    """
    if not is_stanford_cars(classes):
        return False
    folder = Path(weights)
    run = RunFolder(folder.parent if folder.name == BEST else folder)
    if not holds_model(folder) or not run.description.is_file():
        return True
    from lightcars.data.layouts import LAYOUTS_WITH_BOXES

    description = run.read()
    return description.recipe.region == "box" or description.data.layout not in LAYOUTS_WITH_BOXES


def load_model(weights: str | Path, device: torch.device) -> ImageModel:
    """Load a model as `load_trained` does, in float32; class names and preprocessing may be missing."""
    path = Path(weights)
    entry = find_tag(str(weights))
    if entry is not None and not holds_model(path):
        return load_pretrained(entry.model, entry.tag, {}, device=device)
    if not path.is_dir():
        if split_hub_id(str(weights)) is None or path.exists() or is_local_path(str(weights)):
            raise CheckpointError(f"there is no run or checkpoint folder {path}.{_meant(str(weights))}")
    elif not (path / CONFIG_FILE).is_file():
        path = best_of_run(path)
    if path.is_dir():
        return from_pretrained(path, device=device, dtype=torch.float32)
    try:
        return from_pretrained(str(weights), device=device, dtype=torch.float32)
    except DownloadError as error:
        raise DownloadError(f"there is no folder {weights} here; on the Hub: {error}") from error


def _meant(text: str) -> str:
    """Return a hint for somebody who wrote `text` for weights."""
    if text in MODELS:
        return f" It is a model without weights; `lightcars weights {text}` lists published ones."
    tags = {entry.tag for entry in ENTRIES} | {entry.packaged for entry in ENTRIES if entry.packaged}
    return did_you_mean(text.rstrip("/"), tags | {IMAGENET_TAG})


def best_of_run(folder: Path) -> Path:
    """Return the checkpoint folder of a run's best epoch.

    Raises:
        CheckpointError: the run has no finished epoch.
        RunError: it is not a run folder.
    """
    run = RunFolder(folder)
    run.read()
    if not run.best.is_dir():
        raise CheckpointError(f"{folder} has no finished epoch yet; resume the run first (--resume).")
    return run.best
