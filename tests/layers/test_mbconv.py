"""MBConv: its residual rules, squeeze width, optional parts and order."""

from functools import partial

import pytest
import torch
from torch import nn

from lightcars.layers import ConvStyle, DropPath, MBConv, SqueezeExcite, is_residual


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "stride", "residual"),
    [(16, 16, 1, True), (16, 16, 2, False), (16, 24, 1, False), (16, 24, 2, False)],
)
def test_residual_connection_if_the_shape_stays(in_channels, out_channels, stride, residual):
    block = MBConv(in_channels, out_channels, stride=stride, drop_path=0.5).eval()
    assert block.residual is residual
    assert isinstance(block.drop_path, DropPath if residual else nn.Identity)
    x = torch.randn(2, in_channels, 9, 9)
    nn.init.zeros_(block.project.norm.weight)  # the branch returns zeros
    expected = x if residual else torch.zeros(2, out_channels, -(-9 // stride), -(-9 // stride))
    assert torch.equal(block(x), expected)


def test_dropped_samples_keep_the_residual():
    block = MBConv(8, 8, drop_path=0.5).train()
    x = torch.randn(64, 8, 4, 4)
    unchanged = (block(x) == x).flatten(1).all(1)
    assert 0 < int(unchanged.sum()) < 64


def test_no_drop_path_without_a_probability():
    assert isinstance(MBConv(8, 8).drop_path, nn.Identity)


def test_no_expansion_for_a_ratio_of_one():
    block = MBConv(16, 8, expand_ratio=1)
    assert isinstance(block.expand, nn.Identity)
    assert block.depthwise.conv.weight.shape == (16, 1, 3, 3)


@pytest.mark.parametrize(("in_channels", "hidden"), [(24, 88), (80, 184), (48, 144), (7, 49)])
def test_ratio_of_given_hidden_channels(in_channels, hidden):
    """It need not be a whole number, nor one that floating point has."""
    block = MBConv(in_channels, 24, expand_ratio=hidden / in_channels)
    assert block.depthwise.conv.weight.shape == (hidden, 1, 3, 3)


def test_squeeze_excite_is_built_for_the_hidden_channels():
    block = MBConv(24, 24, expand_ratio=6, squeeze_excite=partial(SqueezeExcite, reduced_channels=6))
    assert block.squeeze_excite.reduce.weight.shape == (6, 144, 1, 1)
    assert isinstance(MBConv(24, 24).squeeze_excite, nn.Identity)


def test_projection_is_linear_and_the_rest_has_the_styles_activation():
    block = MBConv(8, 8, style=ConvStyle(activation=nn.Hardswish))
    assert isinstance(block.project.act, nn.Identity)
    assert isinstance(block.expand.act, nn.Hardswish)
    assert isinstance(block.depthwise.act, nn.Hardswish)


@pytest.mark.parametrize(("stride", "adds"), [(1, True), (2, False)])
def test_it_says_what_it_computes(stride, adds):
    block = MBConv(8, 8, stride=stride, drop_path=0.5).eval()
    assert is_residual(block)
    x = torch.randn(2, 8, 9, 9)
    y = nn.Sequential(*block.branch)(x)
    assert (block.shortcut is not None) is adds
    torch.testing.assert_close(block(x), y + block.shortcut(x) if adds else y)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("expand_ratio", [1, 6])
def test_equals_torchvisions_block_with_the_same_weights(expand_ratio, kernel_size, stride, randomize_norms):
    from torchvision.models.efficientnet import MBConv as TheirMBConv
    from torchvision.models.efficientnet import MBConvConfig

    config = MBConvConfig(expand_ratio, kernel_size, stride, 16, 16, 1, width_mult=1.0, depth_mult=1.0)
    theirs = randomize_norms(TheirMBConv(config, 0.0, nn.BatchNorm2d)).eval()
    ours = MBConv(
        16,
        16,
        expand_ratio=expand_ratio,
        kernel_size=kernel_size,
        stride=stride,
        squeeze_excite=partial(SqueezeExcite, reduced_channels=4, activation=nn.SiLU),
    ).eval()
    pairs = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(pairs))
    x = torch.randn(2, 16, 13, 10)
    torch.testing.assert_close(ours(x), theirs(x))
