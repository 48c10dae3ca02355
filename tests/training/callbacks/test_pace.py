"""How quickly a run trains, and what is said to bound it."""

from types import SimpleNamespace

import pytest
import torch

from lightcars.training.callbacks import pace
from lightcars.training.callbacks.pace import Pace, Stopwatch, Stretch, throughput_line


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is put forward."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(pace.time, "monotonic", lambda: now.seconds)
    return now


def test_of_what_lightning_does_only_getting_a_batch_counts_as_waiting(clock):
    watch = Stopwatch()
    for action, seconds in (
        ("[_TrainingEpochLoop].train_dataloader_next", 2.0),
        ("[Strategy]SingleDeviceStrategy.batch_to_device", 0.5),
        ("run_training_batch", 7.0),
        ("[_EvaluationLoop].val_next", 3.0),
    ):
        with watch.profile(action):
            clock.seconds += seconds
    assert watch.seconds == 2.5


def test_an_epoch_ends_with_its_last_batch_and_the_run_is_all_of_them(clock):
    watch = Stopwatch()
    found = Pace(watch)
    module = SimpleNamespace(device=torch.device("cpu"))
    for images in (8, 4):
        found.on_train_epoch_start()
        for last in (False, True):
            watch.seconds += 0.5
            clock.seconds += 2.0
            trainer = SimpleNamespace(world_size=2, is_last_batch=last)
            found.on_train_batch_end(trainer, module, None, (None, torch.zeros(images)), 0)
        clock.seconds += 100.0  # validation
    assert found.epoch == Stretch(16, 4.0, 1.0)
    assert found.run == Stretch(48, 8.0, 2.0)
    assert str(found.epoch) == "4 images/s"


def test_the_bottleneck_is_what_takes_most_of_the_time():
    assert throughput_line(Stretch(1000, 10.0, 1.0)) == (
        "trained at 100 images/s, 10 % of the time waiting for images: the training step is the bottleneck"
    )
    assert throughput_line(Stretch(1000, 10.0, 6.0)).endswith(
        "60 % of the time waiting for images: loading images is the bottleneck"
    )
    assert throughput_line(Stretch()).startswith("trained at 0 images/s")
