"""`fuse` and the plain-function runner on blocks that they do not know: own forward pass, other children."""

import pytest
import torch
from torch import nn

import lightcars
from lightcars.deploy import onednn
from lightcars.deploy.fuse import _fused, fuse
from lightcars.deploy.fused_layers import FusedConv
from lightcars.deploy.onednn import kernel
from lightcars.errors import FusionError
from lightcars.layers import Composite, ConvAct, ConvNormAct, HarmonicDenseBlock
from lightcars.zoo import create_model


class Both(Composite):
    """Two branches, one of them of several layers, and a pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.first = ConvNormAct(4, 6, kernel_size=3)
        self.rest = nn.ModuleList([ConvNormAct(4, 6), nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvAct(6, 6))])
        self.act = nn.ReLU6()

    def forward(self, x):
        y = x
        for layer in self.rest:
            y = layer(y)
        return self.act(self.first(x) - y)


@pytest.fixture
def block(randomize_norms):
    return randomize_norms(Both()).eval().requires_grad_(False)


def test_children_are_folded_and_the_forward_pass_stays(block):
    x = torch.randn(2, 4, 7, 6)
    expected = block(x)
    fused = _fused(block)
    assert type(fused) is Both
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    assert type(fused.first) is type(fused.rest[0]) is FusedConv
    torch.testing.assert_close(fused(x), expected)


@pytest.mark.skipif(not onednn.AVAILABLE, reason="this torch has no oneDNN")
def test_the_runner_calls_functions_in_place_of_the_children(block):
    x = torch.randn(2, 4, 7, 6)
    expected = block(x)
    fused = _fused(block)
    run = kernel(fused)
    for module in fused.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_: pytest.fail("a convolution ran as a module"))
    torch.testing.assert_close(run(x), expected)
    assert "first" in dict(fused.named_children()), "the block itself is as before"


def test_a_layer_with_tensors_that_is_not_known_is_refused():
    strange = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    with pytest.raises(FusionError, match="does not know the layer Conv2d"):
        _fused(strange)
    model = create_model("shufflenetv2_050", width=0.1)
    model.blocks[2].project = strange
    with pytest.raises(FusionError, match=r"blocks\.2\.project is a Sequential"):
        fuse(model)


def test_a_dense_block_without_norms_gives_the_same(randomize_norms):
    block = randomize_norms(HarmonicDenseBlock(((0,), (1, 0)), (4, 6, 8))).eval()
    x = torch.randn(1, 4, 5, 5)
    with torch.no_grad():
        expected = block(x)
        torch.testing.assert_close(_fused(block)(x), expected)


@pytest.mark.parametrize(
    "name", ["shufflenetv1_g3", "shufflenetv1_g8", "shufflenetv2_100", "squeezenet_1_1", "hardnet_68"]
)
@torch.no_grad()
def test_models_give_the_same_in_every_way_to_run_them(name, randomize_norms):
    """As modules (with gradients), as functions (without, on a CPU), in the features and in two steps."""
    model = randomize_norms(create_model(name, width=0.25, num_classes=5)).eval()
    x = torch.randn(2, 3, 75, 61)
    expected, maps = model(x), model.features(x)
    fused = lightcars.fuse(model)
    tolerance = 1e-5 * float(expected.abs().max())
    torch.testing.assert_close(fused(x), expected, atol=tolerance, rtol=0)
    for ours, wanted in zip(fused.features(x), maps, strict=True):
        torch.testing.assert_close(ours, wanted, atol=1e-4, rtol=1e-4)
    with torch.enable_grad():
        torch.testing.assert_close(fused(x.clone().requires_grad_()), expected, atol=tolerance, rtol=0)
    assert torch.equal(fused.forward_head(fused.forward_features(x)), fused(x))
