"""Short runs for one process or several, which note what each process did.

Each writes `<name>-<rank>.pt` beside its run folder: the rows, the weights after each epoch, the images
of each step, or the error.
"""

import os
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from lightcars import finetune
from lightcars.recipes.recipe import (
    NO_AUGMENTATION,
    AugmentRecipe,
    ModelRecipe,
    OptimizerRecipe,
    ScheduleRecipe,
)
from lightcars.training import module
from lightcars.training import trainer as training
from lightcars.training.callbacks.metrics_csv import RunRecorder
from lightcars.training.loaders import ImageDataModule
from lightcars.training.module import ClassifierModule
from tests.training.tiny_settings import TINY_MODEL, TINY_RECIPE

RANK, WORLD_SIZE = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))

MOVED = AugmentRecipe(
    images=(
        {"RandomHorizontalFlip": {}},
        {"RandomAffine": {"degrees": 25, "translate": [0.1, 0.1], "shear": 8}},
    )
)
CONSTANT = ScheduleRecipe(name="constant", warmup_epochs=0)
PLAIN = replace(
    TINY_RECIPE,
    model=ModelRecipe(name="ghostnet_050", settings={**TINY_MODEL, "dropout": 0.0}),
    accelerator="cpu",
    batch_size=8 // WORLD_SIZE,
    optimizer=OptimizerRecipe(name="SGD", lr=0.05, settings={"momentum": 0.9}),
    clip_norm=1.0,
    schedule=CONSTANT,
    augment=MOVED,
)
FROZEN = replace(PLAIN.model, freeze_epochs=None)
PLATEAU = ScheduleRecipe(
    name="ReduceLROnPlateau", warmup_epochs=0, settings={"patience": 0, "threshold": 0.0}
)


class Noting:
    """A data set that notes what is taken from it."""

    def __init__(self, photos, notes: list) -> None:
        self.photos, self.notes = photos, notes

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, key):
        pixels, label = self.photos[key]
        self.notes.append((key, zlib.crc32(pixels.numpy().tobytes()), label))
        return pixels, label


def note(patch) -> dict:
    """What this process does from here on."""
    notes: dict = {"train": [], "val": [], "epochs": [], "rows": []}
    make, record = ImageDataModule.__init__, RunRecorder.on_train_epoch_end

    def made(self, *arguments, **settings):
        make(self, *arguments, **settings)
        self.train_set, self.val_set = (
            Noting(self.train_set, notes["train"]),
            Noting(self.val_set, notes["val"]),
        )

    def recorded(self, trainer, pl_module):
        record(self, trainer, pl_module)
        notes["epochs"].append({name: t.clone() for name, t in pl_module.state_dict().items()})
        notes["rows"] = self.rows

    patch.setattr(ImageDataModule, "__init__", made)
    patch.setattr(RunRecorder, "on_train_epoch_end", recorded)
    return notes


def norms_at_rest(patch) -> None:
    """Batch norms keep their statistics, so that a batch may be split."""
    start = ClassifierModule.on_train_batch_start

    def resting(self, batch, batch_idx):
        for child in self.model.modules():
            if isinstance(child, nn.BatchNorm2d):
                child.eval()
        start(self, batch, batch_idx)

    patch.setattr(ClassifierModule, "on_train_batch_start", resting)


def opposite_losses(patch) -> None:
    """The first process sees a loss that falls by 1 an epoch, the other one that rises by 2."""

    class Opposite(module.EpochMetrics):
        epoch = 0

        def add(self, loss, logits, labels):
            if len(self.accuracies) == 2:
                loss = torch.tensor(10.0 - self.epoch if RANK == 0 else 10.0 + 2 * self.epoch)
            super().add(loss, logits, labels)

        def take(self):
            self.epoch += 1
            return super().take()

    patch.setattr(module, "EpochMetrics", Opposite)


def not_finite_in_the_last(patch) -> None:
    """The loss of the last process alone is no number, in the second step."""
    loss = module.F.cross_entropy
    step = ClassifierModule.training_step

    def training_step(self, batch, batch_idx):
        factor = torch.nan if RANK == WORLD_SIZE - 1 and batch_idx == 1 else 1.0
        patch.setattr(module.F, "cross_entropy", lambda *a, **k: loss(*a, **k) * factor)
        return step(self, batch, batch_idx)

    patch.setattr(training.ClassifierModule, "training_step", training_step)


SCENARIOS = {
    "whole": (replace(PLAIN, ema_decay=0.9), [norms_at_rest]),
    "accumulated": (replace(PLAIN, accumulate=2, schedule=PLATEAU, patience=2), [norms_at_rest]),
    "frozen": (replace(PLAIN, model=FROZEN, augment=NO_AUGMENTATION), []),
    "thawed": (replace(PLAIN, model=replace(FROZEN, freeze_epochs=1)), [norms_at_rest]),
    "norms": (replace(TINY_RECIPE, accelerator="cpu", batch_size=4, ema_decay=0.9, label_smoothing=0.0), []),
    "still": (replace(PLAIN, optimizer=OptimizerRecipe(name="SGD", lr=1e-12)), []),
    "mixed": (
        replace(
            PLAIN,
            epochs=1,
            augment=AugmentRecipe(images=(), batches=({"MixUp": {"alpha": 1.0}}, {"CutMix": {"alpha": 1.0}})),
        ),
        [],
    ),
    "opposite": (replace(PLAIN, epochs=6, patience=2, schedule=PLATEAU), [opposite_losses]),
    "small": (replace(PLAIN, batch_size=64 // WORLD_SIZE, epochs=2), [norms_at_rest]),
    "one": (replace(PLAIN, epochs=1), [norms_at_rest]),
    "not_finite": (PLAIN, [not_finite_in_the_last]),
    "auto": (replace(PLAIN, epochs=1, precision="auto", memory_format="auto"), []),
    "fastest": (replace(PLAIN, precision="fastest"), []),
    "apart": (replace(PLAIN, epochs=1), []),
}


def play(name: str, data: Path, out: Path, patch) -> dict:
    """One scenario; what this process noted."""
    recipe, changes = SCENARIOS[name]
    notes = note(patch)
    for change in changes:
        change(patch)
    try:
        notes["result"] = finetune(data, recipe=recipe, out=out / name).metrics
    except Exception as error:
        notes["error"] = f"{type(error).__name__}: {error}"
    torch.save(notes, out / f"{name}-{RANK}.pt")
    return notes


def main(out: Path, *folders: str) -> None:
    from pytest import MonkeyPatch  # noqa: PT013

    torch.set_num_threads(1)
    for folder in folders:
        name, data = folder.split("=", 1)
        with MonkeyPatch.context() as patch:
            play(name, Path(data.split(",")[min(RANK, data.count(","))]), out, patch)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
