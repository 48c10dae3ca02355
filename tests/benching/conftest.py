"""A tiny model that is measured, and measurements without patience."""

import pytest
import torch

from lightcars import ghostnet
from lightcars.counters import timing


@pytest.fixture
def tiny():
    torch.manual_seed(1)
    return ghostnet("050", width=0.1, out_channels=8, num_classes=3, resolution=32).eval()


@pytest.fixture
def no_warm_up(monkeypatch):
    monkeypatch.setattr(timing, "WARM_UP_S", 0.0)
    monkeypatch.setattr(timing, "LEAST_CALLS", 3)
