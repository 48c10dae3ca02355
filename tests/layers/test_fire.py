"""Fire modules, convolutions without batch norm, and max pooling that rounds up."""

import pytest
import torch
from torch import nn
from torch.export import Dim

from lightcars.layers import CeilMaxPool, ConvAct, Fire


def test_fire_concatenates_its_expansions():
    fire = Fire(6, 4, 10)
    x = torch.randn(2, 6, 5, 7)
    squeezed = fire.squeeze.conv(x).relu()
    expected = torch.cat([fire.expand1x1.conv(squeezed), fire.expand3x3.conv(squeezed)], 1).relu()
    torch.testing.assert_close(fire(x), expected)
    assert fire(x).shape == (2, 10, 5, 7)


def test_a_convolution_without_norm_has_a_bias_of_zero_and_no_padding():
    unit = ConvAct(3, 4, kernel_size=3, stride=2)
    assert unit.conv.bias is not None
    assert not unit.conv.bias.any()
    x = torch.randn(1, 3, 8, 9)
    assert unit(x).shape == (1, 4, 3, 4)
    assert (unit(x) >= 0).all()


@pytest.mark.parametrize("kernel_size", [2, 3, 4])
@pytest.mark.parametrize("size", [(7, 8), (8, 9), (4, 5)])
def test_ceil_pooling_is_torchs(kernel_size, size):
    x = torch.randn(2, 3, *size).relu()
    expected = nn.MaxPool2d(kernel_size, 2, ceil_mode=True)(x)
    assert torch.equal(CeilMaxPool(kernel_size, stride=2)(x), expected)


@pytest.mark.skipif(
    torch.__version__ < "2.10", reason="torch 2.9 and older export max pooling for one parity of a side"
)
def test_a_program_pools_maps_of_any_size():
    sides = {2: Dim("height", min=4), 3: Dim("width", min=4)}
    pool = CeilMaxPool(3, stride=2)
    program = torch.export.export(pool, (torch.randn(1, 2, 8, 9),), dynamic_shapes=(sides,)).module()
    for size in [(8, 9), (9, 8), (11, 6), (5, 5)]:
        x = torch.randn(1, 2, *size).relu()
        assert torch.equal(program(x), pool(x))
