"""DepthwiseSeparable: its layers, and timm's block with the same weights."""

import pytest
import torch
from torch import nn

from lightcars.layers import ConvStyle, DepthwiseSeparable, is_residual


def test_both_convolutions_have_the_activation():
    block = DepthwiseSeparable(8, 12, style=ConvStyle(activation=nn.ReLU6))
    assert block.depthwise.conv.weight.shape == (8, 1, 3, 3)
    assert block.pointwise.conv.weight.shape == (12, 8, 1, 1)
    assert isinstance(block.depthwise.act, nn.ReLU6)
    assert isinstance(block.pointwise.act, nn.ReLU6)


def test_it_says_what_it_computes():
    block = DepthwiseSeparable(8, 8).eval()
    assert is_residual(block)
    assert block.shortcut is None
    x = torch.randn(2, 8, 9, 9)
    assert torch.equal(block(x), nn.Sequential(*block.branch)(x))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_equals_timms_block_with_the_same_weights(kernel_size, stride, randomize_norms):
    from timm.models._efficientnet_blocks import DepthwiseSeparableConv

    theirs = DepthwiseSeparableConv(16, 16, kernel_size, stride, pw_act=True, noskip=True)
    randomize_norms(theirs).eval()
    ours = DepthwiseSeparable(16, 16, kernel_size=kernel_size, stride=stride).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, 16, 13, 10)
    torch.testing.assert_close(ours(x), theirs(x))
