"""count_params: shared once, frozen on request, buffers never, lazy refused."""

import pytest
from torch import nn

from lightcars.counters.params import count_params
from lightcars.errors import CountingError


def test_parameters_are_counted_and_buffers_not():
    assert count_params(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))) == 3 * 8 * 9 + 8 + 8 + 8


def test_shared_parameters_count_once():
    layer = nn.Linear(10, 10)
    tied = nn.Linear(10, 10, bias=False)
    tied.weight = layer.weight
    assert count_params(nn.Sequential(layer, layer, tied)) == 110


def test_frozen_parameters_are_left_out_on_request():
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6))
    model[0].requires_grad_(False)
    assert count_params(model) == 25 + 36
    assert count_params(model, trainable_only=True) == 36


def test_model_without_parameters_has_none():
    assert count_params(nn.ReLU()) == 0


def test_any_device_and_precision():
    assert count_params(nn.Linear(10**6, 10**6, bias=False, device="meta").half()) == 10**12


def test_wrapped_models():
    import torch

    model = nn.Linear(4, 5)
    assert count_params(torch.compile(model, backend="eager")) == 25
    assert count_params(nn.DataParallel(model)) == 25


@pytest.mark.parametrize("trainable_only", [False, True])
def test_lazy_parameter_has_no_count(trainable_only):
    with pytest.raises(CountingError, match=r"^1\.weight has no shape yet .* run one batch"):
        count_params(nn.Sequential(nn.ReLU(), nn.LazyLinear(4)), trainable_only)
