"""Initial weights: the variance of every kind of layer, per group or not."""

import math

import pytest
import torch
from torch import nn

from lightcars.layers import initialize


def close(tensor: torch.Tensor, deviation: float) -> bool:
    return abs(tensor.mean()) < 0.05 * deviation and abs(tensor.std() / deviation - 1) < 0.05


@pytest.mark.parametrize(
    ("per_group", "groups", "fan_out"),
    [(True, 1, 64 * 9), (False, 1, 64 * 9), (True, 8, 8 * 9), (False, 8, 64 * 9)],
)
def test_convolutions_have_variance_two_by_fan_out(per_group, groups, fan_out):
    layer = nn.Conv2d(256, 64, 3, groups=groups)
    initialize(layer, per_group=per_group)
    assert close(layer.weight, math.sqrt(2 / fan_out))
    assert not layer.bias.any()


def test_ungrouped_start_is_kaimings():
    layer = nn.Conv2d(64, 64, 3, groups=64, bias=False)
    initialize(layer, per_group=False)
    torch.manual_seed(0)
    expected = nn.init.kaiming_normal_(torch.empty(64, 1, 3, 3), mode="fan_out")
    torch.manual_seed(0)
    initialize(layer, per_group=False)
    torch.testing.assert_close(layer.weight.detach(), expected)


@pytest.mark.parametrize("per_group", [True, False])
def test_linear_layers_start_as_pytorchs_own(per_group):
    layer = nn.Linear(400, 100)
    torch.manual_seed(1)
    initialize(layer, per_group=per_group)
    torch.manual_seed(1)
    expected = nn.Linear(400, 100)
    assert torch.equal(layer.weight, expected.weight)
    assert torch.equal(layer.bias, expected.bias)


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_norms_become_the_identity(kind):
    layer = kind(5)
    for tensor in [*layer.parameters(), layer.running_mean, layer.running_var]:
        tensor.data.fill_(3.0)
    layer.num_batches_tracked.fill_(7)
    initialize(layer)
    state = {name: tensor.tolist() for name, tensor in layer.state_dict().items()}
    ones, zeros = [1.0] * 5, [0.0] * 5
    assert state == {
        "weight": ones,
        "bias": zeros,
        "running_mean": zeros,
        "running_var": ones,
        "num_batches_tracked": 0,
    }


@pytest.mark.parametrize("per_group", [True, False])
def test_nothing_of_the_models_memory_stays(per_group):
    """`build_model` fills empty memory with it: what it left out would be garbage."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 5), nn.BatchNorm1d(5)
    )
    for tensor in model.state_dict().values():
        tensor.fill_(12345)
    initialize(model, per_group=per_group)
    assert not any((tensor == 12345).any() for tensor in model.state_dict().values())
