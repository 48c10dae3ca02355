"""UniversalInvertedBottleneck: its four kinds, its strides and shortcut, and timm's block."""

import pytest
import torch
from torch import nn

from lightcars.layers import DropPath, UniversalInvertedBottleneck, is_residual


@pytest.mark.parametrize(
    ("start", "middle", "strides"), [(0, 5, (None, 2)), (3, 0, (2, None)), (3, 5, (1, 2)), (5, 5, (1, 2))]
)
def test_the_last_depthwise_convolution_has_the_stride(start, middle, strides):
    block = UniversalInvertedBottleneck(
        8, 24, 12, start_kernel_size=start, kernel_size=middle, stride=2
    ).eval()
    parts = (block.start, block.depthwise)
    assert [None if isinstance(part, nn.Identity) else part.conv.stride[0] for part in parts] == [*strides]
    assert block(torch.randn(2, 8, 9, 13)).shape == (2, 12, 5, 7)


def test_start_and_projection_are_linear():
    block = UniversalInvertedBottleneck(8, 24, 12, start_kernel_size=3)
    acts = [part.act for part in block.branch]
    assert [type(act) for act in acts] == [nn.Identity, nn.ReLU, nn.ReLU, nn.Identity]


@pytest.mark.parametrize(("out_channels", "stride", "residual"), [(8, 1, True), (8, 2, False), (9, 1, False)])
def test_it_says_what_it_computes(out_channels, stride, residual):
    block = UniversalInvertedBottleneck(
        8, 16, out_channels, start_kernel_size=3, stride=stride, drop_path=0.5
    ).eval()
    assert is_residual(block)
    assert isinstance(block.drop_path, DropPath if residual else nn.Identity)
    x = torch.randn(2, 8, 9, 9)
    y = nn.Sequential(*block.branch)(x)
    assert (block.shortcut is not None) is residual
    torch.testing.assert_close(block(x), y + block.shortcut(x) if residual else y)
    with torch.no_grad():
        before = x.clone()
        torch.testing.assert_close(block(x), y + x if residual else y)
        assert torch.equal(x, before), "written over y, not over x"


def test_dropped_samples_keep_the_residual():
    block = UniversalInvertedBottleneck(8, 16, 8, drop_path=0.5).train()
    x = torch.randn(64, 8, 4, 4)
    assert 0 < int((block(x) == x).flatten(1).all(1).sum()) < 64


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("start", "middle"), [(0, 3), (3, 0), (5, 3)])
def test_equals_timms_block_with_the_same_weights(start, middle, stride, randomize_norms):
    from timm.models._efficientnet_blocks import UniversalInvertedResidual

    theirs = UniversalInvertedResidual(
        16, 16, start, middle, stride=stride, exp_ratio=2.0, layer_scale_init_value=None
    )
    randomize_norms(theirs).eval()
    ours = UniversalInvertedBottleneck(
        16, 32, 16, start_kernel_size=start, kernel_size=middle, stride=stride
    ).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, 16, 13, 10)
    torch.testing.assert_close(ours(x), theirs(x))
