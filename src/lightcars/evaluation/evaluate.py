"""Evaluate a trained model on one split of a data set."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from lightcars.data.class_matching import normalized
from lightcars.data.dataset import ImageDataset, decode
from lightcars.data.layouts import DatasetRecords, find_data, with_validation
from lightcars.data.pixels import normalize
from lightcars.data.records import Region
from lightcars.errors import DataError
from lightcars.evaluation.metrics import top_k_hits
from lightcars.progress import wants_progress
from lightcars.runs.folder import RunFolder, selecting_split
from lightcars.runs.selection import note_on, shows_top5
from lightcars.runs.trained import TrainedModel, load_trained, require_finite
from lightcars.tables import html_table
from lightcars.text import json_text


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """The accuracy of one class.

    Attributes:
        name: name of the class.
        num_images: its images in the split.
        top1_percent: percentage of them whose most likely class it is.
    """

    name: str
    num_images: int
    top1_percent: float


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Evaluation:
    """Metrics on one split.

    Attributes:
        split: "train", "val" or "test".
        num_images: images that were evaluated.
        broken: a message for each file that could not be read; these do not count.
        top1_percent, top5_percent: percentage of images whose class is the most likely one, or among the five
            most likely ones.
        loss: mean cross-entropy, without label smoothing.
        per_class: one entry for each class with images in the split, in label order.
        selected_on: the split that selected the model's epoch; None if the model does not come from a run.
        note: a caveat: "chosen on test: too good" where this is the test split and it selected the epoch.
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

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name} {value}" for name, value in self._summary())
        return f"Evaluation({self.split}, {self.num_images:,} images: {metrics})"

    def _repr_html_(self) -> str:
        classes = [
            (row.name, f"{row.num_images:,}", f"{row.top1_percent:.2f} %")
            for row in sorted(self.per_class, key=lambda row: (row.top1_percent, row.name))
        ]
        head = ("class", "images", "top-1")
        title = f"{self.split}, {self.num_images:,} images"
        return html_table(("", ""), self._summary(), title=title) + html_table(
            head, classes, right=head[1:], title=f"{len(classes)} classes, hardest first", folded=True
        )

    def _summary(self) -> list[tuple[str, str]]:
        rows = [("top-1", f"{self.top1_percent:.2f} %")]
        if shows_top5(len(self.per_class)):
            rows.append(("top-5", f"{self.top5_percent:.2f} %"))
        rows.append(("loss", f"{self.loss:.3f}"))
        return rows + ([("note", self.note)] if self.note else [])

    def to_json(self) -> str:
        """Return all fields as one JSON object."""
        return json_text(asdict(self))


def evaluate(
    run: str | Path,
    data: str | Path,
    *,
    split: str = "val",
    region: Region | None = None,
    batch_size: int = 64,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Evaluation:
    """Compute top-1, top-5 and per-class accuracy of a trained model.

    Args:
        run: a run folder (its best model is evaluated), a checkpoint folder or published weights.
        data: as for `finetune`. A validation split that the run took from the training images is taken again.
        split: "train", "val" or "test".
        region: "whole", "box" or "masked"; None: the one that the run validated on.
        batch_size: images per forward pass.
        device: None: CUDA if it is available.
        progress: show a progress bar; None: in notebooks.

    Raises:
        CheckpointError: there is no such model.
        DataError: there are no such data or split, or they have other classes than the model.
    """
    trained = load_trained(run, device)
    records = data_for(trained, Path(run), data, split)
    images = decode(
        records.split(split),
        trained.preprocessing,
        region=region or validation_region(Path(run)),
        name=split,
        progress=wants_progress(progress),
    )
    logits = logits_of(trained, ImageDataset(images), batch_size)
    metrics = _metrics(split, logits, torch.from_numpy(images.labels), records.classes, images.broken)
    selected_on = selecting_split(Path(run))
    return replace(metrics, selected_on=selected_on, note=note_on(split, selected_on))


def data_for(trained: TrainedModel, run: Path, root: str | Path, split: str) -> DatasetRecords:
    """Read the data, split as in the run.

    Raises:
        DataError: their classes are not those of the model.
    """
    records = _as_split(run, root, split)
    if tuple(map(normalized, records.classes)) != tuple(map(normalized, trained.classes)):
        raise DataError(
            f"{root} has other classes ({len(records.classes)}, first {records.classes[0]}) than the model"
            f" ({len(trained.classes)}, first {trained.classes[0]})."
        )
    return records


def _as_split(run: Path, root: str | Path, split: str) -> DatasetRecords:
    records = find_data(root)
    if "val" in records.splits or split == "test" or not RunFolder(run).description.is_file():
        return records
    seed = RunFolder(run).read().data.validation_seed
    return records if seed is None else with_validation(records, seed)


def validation_region(run: Path) -> Region:
    """Return the region of the images that the run validated on."""
    if not RunFolder(run).description.is_file():
        return "whole"
    return RunFolder(run).read().recipe.val_region


@torch.inference_mode()
def logits_of(trained: TrainedModel, dataset: ImageDataset, batch_size: int) -> Tensor:
    """Return (N, num_classes) logits on the CPU, in the order of the images.

    Raises:
        CheckpointError: they are NaN or infinite.
    """
    batches = [
        trained.model(normalize(images.to(trained.device), trained.preprocessing)).float().cpu()
        for images, _ in DataLoader(dataset, batch_size)
    ]
    logits = torch.cat(batches)
    require_finite(logits)
    return logits


def _metrics(
    split: str, logits: Tensor, labels: Tensor, classes: tuple[str, ...], broken: tuple[str, ...]
) -> Evaluation:
    first, among_five = (top_k_hits(logits, labels, top_k) for top_k in (1, 5))
    num_images = torch.bincount(labels, minlength=len(classes))
    return Evaluation(
        split=split,
        num_images=len(labels),
        broken=broken,
        top1_percent=100.0 * int(first.sum()) / len(labels),
        top5_percent=100.0 * int(among_five.sum()) / len(labels),
        loss=F.cross_entropy(logits, labels).item(),
        per_class=tuple(
            ClassMetrics(name, images, 100.0 * hits / images)
            for name, images, hits in zip(classes, num_images.tolist(), first.tolist(), strict=True)
            if images
        ),
    )
