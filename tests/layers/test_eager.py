"""Shortcuts of the blocks: only eagerly, and only where no hook is attached."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from lightcars.layers import ConvNormAct, ConvStyle, GhostBottleneck, MBConv, depthwise
from lightcars.layers.depthwise import convolve
from lightcars.layers.eager import IN_PLACE, activate, is_eager, is_hooked, may_overwrite, shape_of


def note(*_: object) -> None:
    """A hook that changes nothing."""


HOOKS = {
    "forward": lambda module: module.register_forward_hook(note),
    "forward pre": lambda module: module.register_forward_pre_hook(note),
    "backward": lambda module: module.register_full_backward_hook(note),
    "backward pre": lambda module: module.register_full_backward_pre_hook(note),
    "every module's": lambda _: nn.modules.module.register_module_forward_hook(note),
}
every_hook = pytest.mark.parametrize("attach", HOOKS.values(), ids=HOOKS)


@every_hook
def test_hooks_are_seen_until_they_are_removed(attach):
    module, other = nn.ReLU(), nn.SiLU()
    assert not is_hooked(other, module)
    handle = attach(module)
    assert is_hooked(other, module)
    handle.remove()
    assert not is_hooked(other, module)


def test_another_forward_is_seen():
    """As libraries that move weights between devices put one there."""
    module = nn.ReLU()
    module.forward = lambda x: x
    assert is_hooked(module)


@pytest.mark.filterwarnings("ignore:Graph break:UserWarning")  # before torch 2.9
def test_plain_tensors_are_eager():
    seen = []

    def look(x):
        seen.append((is_eager(x), shape_of(x)))
        return x + 1

    x = torch.randn(3)
    look(x)
    torch.func.vmap(look)(x)
    torch.compile(look, backend="eager", fullgraph=False)(x)
    torch.fx.symbolic_trace(look)
    assert seen[0] == (True, (3,))
    assert not any(eager for eager, _ in seen[1:])
    assert seen[-1] == (False, None)


def test_maps_are_overwritten_in_inference_only():
    x = torch.randn(3)
    assert not may_overwrite(x)
    with torch.no_grad():
        assert may_overwrite(x)
    with torch.inference_mode():
        assert may_overwrite(x)


@pytest.mark.parametrize("kind", IN_PLACE)
def test_in_place_functions_are_those_of_the_modules(kind):
    act, norm, x = kind(), nn.BatchNorm2d(3), torch.randn(2, 3, 4, 4) * 5
    expected = act(x)
    assert torch.equal(activate(act, x, made_by=norm), expected)
    with torch.no_grad():
        y = activate(act, x, made_by=norm)
    assert torch.equal(y, expected)
    assert y.data_ptr() == x.data_ptr()


@pytest.mark.parametrize(
    ("norm", "act"),
    [(nn.Identity(), nn.ReLU()), (nn.GroupNorm(1, 3), nn.ReLU()), (nn.BatchNorm2d(3), nn.Tanh())],
    ids=str,
)
@torch.no_grad()
def test_maps_of_other_layers_stay(norm, act):
    """An identity, for one, hands on what others hold."""
    x = torch.randn(2, 3, 4, 4)
    before = x.clone()
    torch.testing.assert_close(activate(act, x, made_by=norm), act(before))
    assert torch.equal(x, before)


@pytest.mark.parametrize("hooked", ["norm", "act"])
@every_hook
@torch.no_grad()
def test_maps_that_a_hook_may_hold_stay(attach, hooked):
    layers = {"norm": nn.BatchNorm2d(3), "act": nn.ReLU()}
    x = torch.randn(2, 3, 4, 4)
    before = x.clone()
    handle = attach(layers[hooked])
    activate(layers["act"], x, made_by=layers["norm"])
    handle.remove()
    assert torch.equal(x, before)


BLOCKS = {
    "mbconv": lambda: MBConv(8, 8),
    "ghost": lambda: GhostBottleneck(8, 16, 8),
    "ghost with a shortcut": lambda: GhostBottleneck(8, 16, 12, stride=2),
}
every_block = pytest.mark.parametrize("make", BLOCKS.values(), ids=BLOCKS)


@every_block
@torch.no_grad()
def test_the_input_of_a_block_stays(make):
    x = torch.randn(2, 8, 6, 6)
    before = x.clone()
    make().eval()(x)
    assert torch.equal(x, before)


@every_block
@torch.no_grad()
def test_what_was_put_in_place_of_a_layer_is_called(make):
    """An identity hands its input on, which must stay."""
    block = make().eval()
    block.expand = block.depthwise = block.squeeze_excite = block.project = nn.Identity()
    block.shortcut = nn.Identity()
    x = torch.randn(2, 8, 6, 6)
    before = x.clone()
    torch.testing.assert_close(block(x), 2 * before)
    assert torch.equal(x, before)


@every_block
def test_inference_equals_the_modules_in_turn(make, randomize_norms):
    block = randomize_norms(make()).eval()
    hooked = copy.deepcopy(block)
    for module in hooked.modules():
        module.register_forward_hook(note)
    x = torch.randn(2, 8, 6, 6)
    expected = block(x)
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected)
        torch.testing.assert_close(hooked(x), expected)


@every_hook
def test_a_depthwise_convolution_with_hooks_is_called(attach, monkeypatch):
    monkeypatch.setattr(depthwise, "_HAS_FAST_KERNELS", True)
    style = ConvStyle(activation=nn.Identity)
    conv = ConvNormAct(4, 4, kernel_size=5, groups=4, style=style).conv
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    assert "DepthwiseConv2d" in type(convolve(conv, x).grad_fn).__name__
    handle = attach(conv)
    called = convolve(conv, x)
    handle.remove()
    assert "DepthwiseConv2d" not in type(called.grad_fn).__name__


def test_a_pruned_depthwise_convolution_uses_its_mask(monkeypatch):
    monkeypatch.setattr(depthwise, "_HAS_FAST_KERNELS", True)
    conv = prune.random_unstructured(
        nn.Conv2d(4, 4, 5, padding=2, groups=4, bias=False), "weight", amount=0.5
    )
    with torch.no_grad():
        conv.weight_orig.mul_(2)
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    expected = nn.functional.conv2d(x, conv.weight_orig * conv.weight_mask, padding=2, groups=4)
    torch.testing.assert_close(convolve(conv, x), expected)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:FutureWarning")
def test_the_shape_is_known_while_jit_traces():
    seen = []

    def look(x):
        seen.append(shape_of(x))
        return x + 1

    traced = torch.jit.trace(look, torch.randn(3, 2), check_trace=False)
    assert seen == [(3, 2)]
    assert traced(torch.randn(5)).shape == (5,)
