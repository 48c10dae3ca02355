"""Initial weights: the variance of every rule, in layers of torch's own classes."""

import math

import pytest
import torch
from torch import nn

from lightcars.layers import initialize
from lightcars.layers.initialization import conv2d, fan_in, fan_out, kaiming_fan_out, linear

RULES = [fan_out, fan_in, kaiming_fan_out]


def close(tensor: torch.Tensor, deviation: float) -> bool:
    return abs(tensor.mean()) < 0.05 * deviation and abs(tensor.std() / deviation - 1) < 0.05


@pytest.mark.parametrize(
    ("rule", "groups", "variance"),
    [
        (fan_out, 1, 2 / (64 * 9)),
        (fan_out, 8, 2 / (8 * 9)),
        (kaiming_fan_out, 1, 2 / (64 * 9)),
        (kaiming_fan_out, 8, 2 / (64 * 9)),
        (fan_in, 1, 1 / (256 * 9)),
        (fan_in, 8, 1 / (32 * 9)),
    ],
)
def test_convolutions_have_the_variance_of_the_rule(rule, groups, variance):
    layer = nn.Conv2d(256, 64, 3, groups=groups)
    initialize(layer, initial=rule)
    assert close(layer.weight, math.sqrt(variance))
    assert not layer.bias.any()
    built = conv2d(256, 64, 3, groups=groups, initial=rule)
    assert close(built.weight, math.sqrt(variance))
    assert not built.bias.any()


def test_kaiming_fan_out_is_torchs():
    layer = nn.Conv2d(64, 64, 3, groups=64, bias=False)
    torch.manual_seed(0)
    expected = nn.init.kaiming_normal_(torch.empty(64, 1, 3, 3), mode="fan_out")
    torch.manual_seed(0)
    initialize(layer, initial=kaiming_fan_out)
    torch.testing.assert_close(layer.weight.detach(), expected)


def test_fan_in_keeps_the_variance_of_a_map():
    y = conv2d(64, 96, 3, initial=fan_in)(torch.randn(4, 64, 20, 20))
    assert abs(y.var() - 1) < 0.1


@pytest.mark.parametrize("rule", RULES)
def test_linear_layers_start_as_pytorchs_own(rule):
    layer = nn.Linear(400, 100)
    torch.manual_seed(1)
    expected = nn.Linear(400, 100)
    torch.manual_seed(1)
    initialize(layer, initial=rule)
    torch.manual_seed(1)
    built = linear(400, 100)
    for ours in (layer, built):
        assert torch.equal(ours.weight, expected.weight)
        assert torch.equal(ours.bias, expected.bias)


def test_layers_are_torchs_own_classes():
    assert type(conv2d(3, 4)) is nn.Conv2d
    assert type(linear(3, 4)) is nn.Linear
    assert repr(conv2d(4, 4, 3, stride=2, padding=1, groups=4, bias=False)) == repr(
        nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4, bias=False)
    )
    assert repr(linear(3, 4, bias=False)) == repr(nn.Linear(3, 4, bias=False))


def test_nothing_is_sampled_on_the_meta_device():
    before = torch.get_rng_state()
    with torch.device("meta"):
        layers = nn.Sequential(conv2d(3, 4), linear(3, 4))
    initialize(layers)
    assert all(parameter.is_meta for parameter in layers.parameters())
    assert torch.equal(torch.get_rng_state(), before)


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


@pytest.mark.parametrize("rule", RULES)
def test_every_tensor_is_reinitialized(rule):
    """It fills empty memory, where anything left out would be garbage."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 5), nn.BatchNorm1d(5)
    )
    for tensor in model.state_dict().values():
        tensor.fill_(12345)
    initialize(model, initial=rule)
    assert not any((tensor == 12345).any() for tensor in model.state_dict().values())
