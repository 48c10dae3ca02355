"""attainable_rate: products that are what they seem, and the fastest of them."""

import pytest
import torch

from lightcars.counters import peak
from lightcars.counters.peak import attainable_rate

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_products_multiply_as_often(dtype):
    side = 64
    product, convolution = (make() for make in peak._products(side, CPU, dtype))
    assert product.shape == (side, side)
    assert product.dtype == convolution.dtype == dtype
    assert convolution.shape == (1, side, 32, 2), "side positions of side channels, from side channels"


def test_the_fastest_counts(monkeypatch):
    monkeypatch.setattr(peak, "SIDES", {"cpu": (64, 128)})
    seconds = iter((1.0, 0.5, 1.0, 4.0))
    monkeypatch.setattr(peak, "_least_seconds", lambda *_: next(seconds))
    assert attainable_rate(CPU, torch.float32) == 128**3


def test_it_is_measured(monkeypatch):
    monkeypatch.setattr(peak, "SIDES", {"cpu": (64,)})
    monkeypatch.setattr(peak, "SECONDS", 0.0)
    assert attainable_rate(CPU, torch.float32) > 0


def test_the_least_of_several_calls(monkeypatch):
    now, durations = [0.0], iter((9.0, 0.06, 0.02, 0.1))

    def product() -> torch.Tensor:
        now[0] += next(durations)
        return torch.zeros(1)

    monkeypatch.setattr(peak.time, "perf_counter", lambda: now[0])
    assert peak._least_seconds(product, CPU) == pytest.approx(0.02)
