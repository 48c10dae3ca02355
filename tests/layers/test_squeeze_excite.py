"""SqueezeExcite: both forms compute the same; hidden widths; gates."""

import pytest
import torch
from torch import nn

from lightcars.layers import ClampGate, SqueezeExcite


@pytest.mark.parametrize("gate", [nn.Sigmoid, nn.Hardsigmoid, ClampGate])
def test_both_forms_compute_the_same(gate):
    conv = SqueezeExcite(12, reduction=4, form="conv", gate=gate)
    linear = SqueezeExcite(12, reduction=4, form="linear", gate=gate)
    for ours, theirs in zip(linear.parameters(), conv.parameters(), strict=True):
        ours.data = theirs.detach().clone().reshape(ours.shape)
    x = torch.randn(3, 12, 7, 5)
    torch.testing.assert_close(conv(x), linear(x))


@pytest.mark.parametrize("form", ["conv", "linear"])
def test_scales_channels_by_the_gate_of_their_means(form):
    layer = SqueezeExcite(4, reduction=2, form=form)
    x = torch.randn(2, 4, 3, 5)
    reduce, expand = (layer.reduce.weight.flatten(1), layer.expand.weight.flatten(1))
    hidden = (x.mean((2, 3)) @ reduce.T + layer.reduce.bias).clamp(min=0)
    scale = (hidden @ expand.T + layer.expand.bias).sigmoid()
    torch.testing.assert_close(layer(x), x * scale[:, :, None, None])


@pytest.mark.parametrize(
    ("settings", "reduced"),
    [
        ({}, 24),
        ({"reduction": 8}, 12),
        ({"reduction": 7}, 13),
        ({"reduction": 200}, 1),
        ({"reduced_channels": 5}, 5),
        ({"reduced_channels": 5, "reduction": 2}, 5),
    ],
)
@pytest.mark.parametrize("form", ["conv", "linear"])
def test_hidden_width(form, settings, reduced):
    layer = SqueezeExcite(96, form=form, **settings)
    assert layer.reduce.weight.shape[:2] == (reduced, 96)
    assert layer.expand.weight.shape[:2] == (96, reduced)


def test_clamp_gate_is_the_identity_between_zero_and_one():
    x = torch.tensor([-2.0, 0.0, 0.25, 1.0, 3.0])
    assert ClampGate()(x).tolist() == [0.0, 0.0, 0.25, 1.0, 1.0]


def test_closed_gate_gives_zeros_and_open_gate_the_input():
    layer = SqueezeExcite(4, gate=ClampGate)
    x = torch.randn(2, 4, 3, 3)
    nn.init.zeros_(layer.expand.weight)
    nn.init.constant_(layer.expand.bias, -1.0)
    assert not layer(x).any()
    nn.init.constant_(layer.expand.bias, 1.0)
    assert torch.equal(layer(x), x)
