"""FusedMBConv: its residual rule, its forms with and without expansion, outputs equal to timm's."""

import pytest
import torch
from torch import nn

from lightcars.layers import ConvStyle, DropPath, FusedMBConv, is_residual


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "stride", "residual"),
    [(16, 16, 1, True), (16, 16, 2, False), (16, 24, 1, False), (16, 24, 2, False)],
)
@pytest.mark.parametrize("expand_ratio", [1, 4])
def test_residual_connection_if_the_shape_stays(in_channels, out_channels, stride, residual, expand_ratio):
    block = FusedMBConv(
        in_channels, out_channels, stride=stride, expand_ratio=expand_ratio, drop_path=0.5
    ).eval()
    assert is_residual(block)
    assert (block.shortcut is not None) is residual
    assert isinstance(block.drop_path, DropPath if residual else nn.Identity)
    last = block.expand if expand_ratio == 1 else block.project
    nn.init.zeros_(last.norm.weight)  # the branch returns zeros, and SiLU keeps them
    x = torch.randn(2, in_channels, 9, 9)
    expected = x if residual else torch.zeros(2, out_channels, -(-9 // stride), -(-9 // stride))
    assert torch.equal(block(x), expected)


@pytest.mark.parametrize("expand_ratio", [1, 4])
@pytest.mark.parametrize("grad", [False, True])
def test_equals_timms(expand_ratio, grad, randomize_norms):
    from timm.models._efficientnet_blocks import ConvBnAct, EdgeResidual

    settings = {"stride": 1, "act_layer": nn.ReLU}
    theirs = (
        ConvBnAct(8, 8, 3, skip=True, **settings)
        if expand_ratio == 1
        else EdgeResidual(8, 8, 3, exp_ratio=expand_ratio, **settings)
    )
    ours = FusedMBConv(8, 8, expand_ratio=expand_ratio, style=ConvStyle(activation=nn.ReLU)).eval()
    state = randomize_norms(theirs).eval().state_dict()
    ours.load_state_dict(dict(zip(ours.state_dict(), state.values(), strict=True)))
    x = torch.randn(2, 8, 9, 11)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(ours(x), theirs(x))
