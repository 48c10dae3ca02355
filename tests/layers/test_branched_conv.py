"""BranchedConv: which branches it has, their sum, and the one convolution that they become."""

import pytest
import torch
from torch import nn

from lightcars.layers import BranchedConv, ConvStyle
from lightcars.layers.branched_conv import merged_unit

CASES = [
    {"kernel_size": 1},
    {"kernel_size": 1, "branches": 1},
    {"kernel_size": 3, "groups": 8},
    {"kernel_size": 3, "groups": 8, "scale": False, "branches": 1},
    {"kernel_size": 5, "groups": 8, "stride": 2},
    {"kernel_size": 3, "groups": 2},
    {"kernel_size": 3},
]


def unit(**settings) -> BranchedConv:
    return BranchedConv(8, 8, style=ConvStyle(activation=nn.Hardswish), **settings)


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_merged_equals_the_sum(settings, randomize_norms):
    branched = randomize_norms(unit(**settings)).double().eval()
    x = torch.randn(2, 8, 9, 11, dtype=torch.float64)
    single = branched.merged()
    torch.testing.assert_close(single(x), branched(x))
    assert single.conv.weight.dtype == torch.float64
    assert isinstance(single.act, nn.Hardswish)
    shapes = {name: tensor.shape for name, tensor in single.state_dict().items()}
    settings = {name: value for name, value in settings.items() if name not in ("branches", "scale")}
    assert shapes == {name: t.shape for name, t in merged_unit(8, 8, **settings).state_dict().items()}


def test_the_sum_is_that_of_its_parts(randomize_norms):
    branched = randomize_norms(unit(kernel_size=3, groups=8)).eval()
    x = torch.randn(2, 8, 5, 5)
    parts = [*(conv(x) for conv in branched.convs), branched.scale(x), branched.skip(x)]
    assert len(parts) == 5
    torch.testing.assert_close(branched(x), nn.functional.hardswish(torch.stack(parts).sum(0)))


def test_merging_leaves_the_branches_as_they_are(randomize_norms):
    branched = randomize_norms(unit(kernel_size=3, groups=8))
    before = {name: tensor.clone() for name, tensor in branched.state_dict().items()}
    branched.merged()
    assert branched.training
    assert all(module.training for module in branched.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in branched.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "scale", "skip"),
    [
        ({"kernel_size": 1}, False, False),
        ({"kernel_size": 3}, True, True),
        ({"kernel_size": 3, "scale": False}, False, True),
        ({"kernel_size": 3, "stride": 2}, True, False),
    ],
)
def test_branches_follow_from_the_shape(settings, scale, skip):
    branched = unit(**settings)
    assert (branched.scale is not None, branched.skip is not None) == (scale, skip)


def test_a_fresh_sum_has_the_variance_of_one_branch():
    torch.manual_seed(0)
    branched = BranchedConv(64, 64, kernel_size=3, style=ConvStyle(activation=nn.Identity)).train()
    assert float(branched(torch.randn(16, 64, 16, 16)).detach().std()) == pytest.approx(1, rel=0.1)
