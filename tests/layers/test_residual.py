"""Blocks are recognized by what they expose, also where a shortcut is a submodule."""

import inspect

import pytest
from torch import nn

from lightcars.layers import ConvNormAct, GhostBottleneck, MBConv, Residual, is_residual


@pytest.mark.parametrize(
    "block", [MBConv(4, 4), GhostBottleneck(4, 8, 4), GhostBottleneck(4, 8, 6, stride=2)]
)
def test_blocks_are_residual(block):
    assert is_residual(block)


def test_other_modules_are_not():
    assert not is_residual(ConvNormAct(3, 4))
    assert not is_residual(nn.Sequential(MBConv(4, 4)))


def test_isinstance_is_refused():
    """From Python 3.12 on it would find no submodule and be False for a GhostBottleneck."""
    assert inspect.getattr_static(GhostBottleneck(4, 8, 4), "shortcut", None) is None
    with pytest.raises(TypeError, match="runtime"):
        isinstance(MBConv(4, 4), Residual)
