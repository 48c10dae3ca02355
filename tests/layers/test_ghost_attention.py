"""AttentiveGhostModule: outputs equal to timm's, and maps that cannot be halved."""

import pytest
import torch
from torch import nn

from lightcars.layers import AttentiveGhostModule, GhostModule
from lightcars.layers.ghost_attention import halve


@pytest.mark.parametrize("size", [(8, 8), (9, 11), (2, 3)])
@pytest.mark.parametrize("out_channels", [16, 14])
def test_equals_timms(size, out_channels, randomize_norms):
    from timm.models.ghostnet import GhostModuleV2

    theirs = randomize_norms(GhostModuleV2(6, out_channels)).eval()
    ours = AttentiveGhostModule(6, out_channels).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, 6, *size)
    torch.testing.assert_close(ours(x), theirs(x))


def test_closed_gates_leave_nothing_and_open_ones_the_ghost_module():
    module = AttentiveGhostModule(6, 8).eval()
    x = torch.randn(2, 6, 7, 5)
    last = module.attention[-1].norm
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, -1e4)
    assert not module(x).any()
    nn.init.constant_(last.bias, 1e4)
    assert type(module.ghost) is GhostModule
    assert torch.equal(module(x), module.ghost(x))


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 1)])
def test_an_axis_of_one_pixel_stays(size):
    x = torch.randn(1, 2, *size)
    assert halve(x).shape[2:] == tuple(max(1, side // 2) for side in size)
    assert AttentiveGhostModule(2, 4)(torch.randn(3, 2, *size)).shape == (3, 4, *size)
