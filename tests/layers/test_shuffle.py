"""Channel shuffle: the permutation is torch's own, in either memory format, and nothing else changes."""

import pytest
import torch
from torch import nn

from lightcars.layers import ConvNormAct, DropPath, ShuffleUnit, ShuffleV2Unit
from lightcars.layers.gradients import interleave_channels
from lightcars.layers.shuffle import shuffle_channels

FORMATS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
@pytest.mark.parametrize("groups", [1, 2, 3, 4, 6])
def test_shuffle_is_torchs(groups, memory_format):
    x = torch.randn(2, 12, 5, 3).contiguous(memory_format=memory_format)
    y = shuffle_channels(x, groups)
    assert torch.equal(y, nn.ChannelShuffle(groups)(x.contiguous()))
    assert y.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
def test_interleaving_is_a_shuffled_concatenation(memory_format):
    first, second = torch.randn(2, 2, 6, 5, 3).unbind(0)
    second = second.contiguous(memory_format=memory_format)
    y = interleave_channels(first, second)
    assert torch.equal(y, nn.ChannelShuffle(2)(torch.cat([first, second], 1)))
    assert y.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
def test_gradients_go_back_to_their_channels(memory_format):
    x = torch.randn(2, 12, 4, 4).contiguous(memory_format=memory_format).requires_grad_()
    weights = torch.randn(2, 12, 4, 4)
    first, second = x.chunk(2, dim=1)
    (found,) = torch.autograd.grad((interleave_channels(first, second) * weights).sum(), x)
    (expected,) = torch.autograd.grad((nn.ChannelShuffle(2)(x) * weights).sum(), x)
    assert torch.equal(found, expected)


def test_half_of_the_channels_pass_a_unit_of_stride_1():
    unit = ShuffleV2Unit(8, 8).eval()
    x = torch.randn(1, 8, 6, 6)
    assert torch.equal(unit(x)[:, ::2], x[:, :4])


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 5)])
def test_units_of_stride_2_halve_the_map(height, width):
    x = torch.randn(2, 8, height, width)
    for unit in (ShuffleV2Unit(8, 20, stride=2), ShuffleUnit(8, 24, groups=2, stride=2)):
        assert unit(x).shape[2:] == ((height + 1) // 2, (width + 1) // 2)


def test_a_unit_with_groups_joins_its_average_pooling():
    unit = ShuffleUnit(8, 24, groups=2, first_groups=1, stride=2).eval()
    x = torch.rand(1, 8, 6, 6)
    assert torch.equal(unit(x)[:, :8], nn.functional.avg_pool2d(x, 3, 2, 1))
    assert (unit.compress.conv.groups, unit.expand.conv.groups) == (1, 2)


def test_only_what_is_added_is_dropped():
    adds = ShuffleUnit(24, 24, groups=3, drop_path=0.5)
    joins = ShuffleUnit(12, 24, groups=3, stride=2, drop_path=0.5)
    assert isinstance(adds.drop_path, DropPath)
    assert isinstance(joins.drop_path, nn.Identity)


def test_a_unit_shuffles_between_its_convolutions():
    """Each group of the second convolution sees every group of the first."""
    unit = ShuffleUnit(16, 16, groups=2).eval()
    for part in (unit.compress, unit.depthwise, unit.expand):
        assert isinstance(part, ConvNormAct)
        nn.init.ones_(part.conv.weight)
    x = torch.zeros(1, 16, 3, 3)
    x[:, :8] = 1.0  # what the first group takes
    difference = unit(x) - x
    assert (difference.amax((2, 3)) > 0).all()
