"""How good a trained model is on one split of a data set."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from lightcars.data.dataset import ImageDataset, decode
from lightcars.data.layouts import DatasetRecords, find_data, with_validation
from lightcars.data.pixels import normalize
from lightcars.data.records import Region
from lightcars.errors import DataError
from lightcars.runs.folder import RunFolder, selecting_split
from lightcars.runs.selection import note_on
from lightcars.runs.trained import TrainedModel, load_trained


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class.

    Attributes:
        name: of the class.
        num_images: photographs of it in the split.
        top1_percent: of them recognized.
    """

    name: str
    num_images: int
    top1_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Figures on one split.

    Attributes:
        split: which.
        num_images: photographs that were judged.
        broken: what is wrong with the files that could not be read and do not count.
        top1_percent, top5_percent: photographs whose class is the first, or among the first five.
        loss: mean cross-entropy, without label smoothing.
        per_class: one entry for each class that the split has, in label order.
        selected_on: the split that chose the model's epoch; None if it is of no run here.
        note: what the reader has to know about the figures: "chosen on test: too good" where this very split
            chose the epoch and is the test split.
    """

    split: str
    num_images: int
    broken: tuple[str, ...]
    top1_percent: float
    top5_percent: float
    loss: float
    per_class: tuple[ClassMetrics, ...]
    selected_on: str | None = None
    note: str | None = None

    def to_json(self) -> str:
        """All of it, as one JSON object."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)


def evaluate(
    run: str | Path,
    data: str | Path,
    *,
    split: str = "val",
    region: Region | None = None,
    batch_size: int = 64,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Evaluation:
    """Top-1, top-5 and per-class accuracy of a trained model.

    Args:
        run: a run folder (its best model is taken) or a checkpoint folder.
        data: as for `finetune`. A `val` that the run cut from the training photographs is cut again.
        split: "train", "val" or "test".
        region: "whole", "box" or "masked"; None is the run's own for validation.
        batch_size: photographs at a time.
        device: None takes CUDA if it is there.
        progress: show a bar.

    Raises:
        CheckpointError, DataError: no such model, data or split, or data of other classes.
    """
    trained = load_trained(run, device)
    cars = data_for(trained, Path(run), data, split)
    photos = decode(
        cars.split(split),
        trained.preprocessing,
        region=region or validation_region(Path(run)),
        name=split,
        progress=progress,
    )
    logits = logits_of(trained, ImageDataset(photos), batch_size)
    figures = _figures(split, logits, torch.from_numpy(photos.labels), cars.classes, photos.broken)
    selected_on = selecting_split(Path(run))
    return replace(figures, selected_on=selected_on, note=note_on(split, selected_on))


def data_for(trained: TrainedModel, run: Path, root: str | Path, split: str) -> DatasetRecords:
    """The data as the run split them; other classes than the model's are an error."""
    cars = _as_split(run, root, split)
    if cars.classes != trained.classes:
        raise DataError(
            f"{root} has other classes ({len(cars.classes)}, first {cars.classes[0]}) than the model"
            f" ({len(trained.classes)}, first {trained.classes[0]})."
        )
    return cars


def _as_split(run: Path, root: str | Path, split: str) -> DatasetRecords:
    cars = find_data(root)
    if "val" in cars.splits or split == "test" or not RunFolder(run).description.is_file():
        return cars
    seed = RunFolder(run).read().data.validation_seed
    return cars if seed is None else with_validation(cars, seed)


def validation_region(run: Path) -> Region:
    """What the run looked at when it validated."""
    if not RunFolder(run).description.is_file():
        return "whole"
    return RunFolder(run).read().recipe.val_region


@torch.inference_mode()
def logits_of(trained: TrainedModel, photos: ImageDataset, batch_size: int) -> Tensor:
    """(N, num_classes) logits on the processor, in the order of the photographs."""
    batches = [
        trained.model(normalize(images.to(trained.device), trained.preprocessing)).float().cpu()
        for images, _ in DataLoader(photos, batch_size)
    ]
    return torch.cat(batches)


def _figures(
    split: str, logits: Tensor, labels: Tensor, classes: tuple[str, ...], broken: tuple[str, ...]
) -> Evaluation:
    ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices
    hits = ranked == labels[:, None]
    first = hits[:, 0]
    return Evaluation(
        split=split,
        num_images=len(labels),
        broken=broken,
        top1_percent=_percent(first),
        top5_percent=_percent(hits.any(dim=1)),
        loss=F.cross_entropy(logits, labels).item(),
        per_class=tuple(
            ClassMetrics(classes[label], int((labels == label).sum()), _percent(first[labels == label]))
            for label in sorted(set(labels.tolist()))
        ),
    )


def _percent(hits: Tensor) -> float:
    return 100.0 * hits.double().mean().item()
