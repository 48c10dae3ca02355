"""The harmonic dense block and SqueezeNext's block."""

import pytest
import torch
from torch import nn

from lightcars.layers import ConvNormAct, ConvStyle, HarmonicDenseBlock, SqueezeNextBlock


@pytest.mark.parametrize("depthwise", [False, True])
def test_dense_layers_take_what_their_links_say(depthwise):
    links, channels = ((0,), (1, 0), (2,), (3, 2, 0)), (6, 2, 4, 2, 8)
    block = HarmonicDenseBlock(links, channels, depthwise=depthwise).eval()
    x = torch.randn(2, 6, 5, 5)
    first = block.layers[0](x)
    second = block.layers[1](torch.cat([first, x], 1))
    third = block.layers[2](second)
    fourth = block.layers[3](torch.cat([third, second, x], 1))
    assert torch.equal(block(x), torch.cat([first, third, fourth], 1))


def test_only_the_1x1_half_of_a_depthwise_layer_has_an_activation():
    block = HarmonicDenseBlock(((0,),), (4, 6), depthwise=True, style=ConvStyle(activation=nn.ReLU6))
    pointwise, depthwise = block.layers[0]
    assert (type(pointwise.act), type(depthwise.act)) == (nn.ReLU6, nn.Identity)
    assert (pointwise.conv.kernel_size, depthwise.conv.kernel_size) == ((1, 1), (3, 3))
    assert depthwise.conv.groups == 6


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "stride", "hidden"), [(16, 16, 1, 8), (16, 8, 1, 4), (16, 32, 2, 16)]
)
def test_squeezenext_reduces_by_what_the_shape_asks_for(in_channels, out_channels, stride, hidden):
    block = SqueezeNextBlock(in_channels, out_channels, stride=stride)
    kernels = [part.conv.kernel_size for part in (block.horizontal, block.vertical)]
    assert kernels == [(1, 3), (3, 1)]
    assert block.squeeze1.conv.out_channels == block.vertical.conv.out_channels == hidden
    assert block.squeeze2.conv.out_channels == hidden // 2
    assert isinstance(block.shortcut, ConvNormAct) == (in_channels != out_channels)
    y = block(torch.randn(2, in_channels, 7, 6))
    assert y.shape == (2, out_channels, -(-7 // stride), -(-6 // stride))


def test_squeezenext_adds_its_shortcut_before_the_last_activation():
    block = SqueezeNextBlock(8, 8).eval()
    x = torch.randn(1, 8, 5, 5)
    branch = block.expand(block.vertical(block.horizontal(block.squeeze2(block.squeeze1(x)))))
    assert torch.equal(block(x), (branch + x).relu())
