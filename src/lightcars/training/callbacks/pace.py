"""Training throughput of a run, and its bottleneck."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, final

import lightning as L
import torch
from lightning.pytorch.profilers import Profiler

from lightcars.text import rounded

BOUND_BY_LOADING = 0.5
"""Share of the time: if steps wait longer than this, loading images is the bottleneck."""

_WAITS = (".train_dataloader_next", ".batch_to_device")
"""Ends of Lightning's names for the actions between two steps."""


@final
class Stopwatch(Profiler):
    """Seconds that training steps wait for their batch, out of what Lightning tells a profiler."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self._since = 0.0

    def start(self, action_name: str) -> None:
        self._since = time.monotonic() if action_name.endswith(_WAITS) else self._since

    def stop(self, action_name: str) -> None:
        if action_name.endswith(_WAITS):
            self.seconds += time.monotonic() - self._since


@dataclass(frozen=True, slots=True)
class Stretch:
    """Images trained, the seconds it took, and how many of these the steps waited for a batch."""

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def and_then(self, other: Stretch) -> Stretch:
        """Return the sum of both."""
        return Stretch(self.images + other.images, self.seconds + other.seconds, self.waited + other.waited)

    def __str__(self) -> str:
        """Images per second."""
        return f"{rounded(self.images / max(self.seconds, 1e-9), 4)} images/s"


@final
class Pace(L.Callback):
    """Measures the training throughput of each epoch and of the run since it was started, without validation.

    Attributes:
        epoch: the last one.
        run: all of them.
    """

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.epoch = self.run = Stretch()
        self._stopwatch = stopwatch
        self._began = self._waited_before = 0.0
        self._images = 0

    def on_train_epoch_start(self, *_: Any) -> None:
        self._began, self._waited_before = time.monotonic(), self._stopwatch.seconds
        self._images = 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, _outputs: Any, batch: Any, *_: Any
    ) -> None:
        self._images += len(batch[1]) * trainer.world_size
        if not trainer.is_last_batch:
            return
        if pl_module.device.type != "cpu":  # its work is queued
            torch.accelerator.synchronize(pl_module.device)
        waited = self._stopwatch.seconds - self._waited_before
        self.epoch = Stretch(self._images, time.monotonic() - self._began, waited)
        self.run = self.run.and_then(self.epoch)


def throughput_line(run: Stretch) -> str:
    """Return throughput and bottleneck of a run in a line."""
    share = run.waited / max(run.seconds, 1e-9)
    bound = "loading images" if share > BOUND_BY_LOADING else "the training step"
    return f"trained at {run}, {100 * share:.0f} % of the time waiting for images: {bound} is the bottleneck"
