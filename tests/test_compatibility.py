"""Names of torch that are private or newer than its oldest version here: what takes their place works."""

import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from lightcars import compatibility
from lightcars.layers import BlockSequence, MBConv, block_sequence, depthwise, eager

PACKAGE = Path(compatibility.__file__).parent
PRIVATE = re.compile(r"torch\._C\.|forward_ad\._|_has_any_global_hook|torch\.compiler\.is_exporting")


def test_they_are_used_through_this_module_alone():
    users = [path.name for path in PACKAGE.rglob("*.py") if PRIVATE.search(path.read_text(encoding="utf-8"))]
    assert users in ([], ["compatibility.py"])


def test_what_is_missing_has_a_fall_back():
    empty = ModuleType("empty")
    assert compatibility._found(empty, "anything", 3) == 3
    assert compatibility._found(torch, "nn", 3) is nn


def test_global_hooks_are_found_without_torchs_own_function():
    assert not compatibility._any_global_hook()
    handles = [
        nn.modules.module.register_module_forward_hook(lambda *_: None),
        nn.modules.module.register_module_full_backward_hook(lambda *_: None),
    ]
    for handle in handles:
        assert compatibility._any_global_hook()
        assert compatibility.has_global_hook()
        handle.remove()
    assert not compatibility._any_global_hook()


def test_forward_gradients(monkeypatch):
    assert not compatibility.has_forward_gradients()
    with forward_ad.dual_level():
        assert compatibility.has_forward_gradients()
        monkeypatch.delattr(forward_ad, "_current_level")
        assert not compatibility.has_forward_gradients()
        monkeypatch.undo()


@pytest.mark.parametrize("missing", ["has_global_hook", "is_tracing", "has_function_transform"])
def test_models_run_with_the_fall_backs(missing, monkeypatch):
    """In training and inference, with the same outputs."""
    block = MBConv(4, 4).eval()
    x = torch.randn(2, 4, 9, 9)
    expected = block(x)
    fall_back = compatibility._any_global_hook if missing == "has_global_hook" else compatibility._never
    monkeypatch.setattr(eager, missing, fall_back)
    torch.testing.assert_close(block(x), expected)
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected)


def test_exporting_that_cannot_be_told_apart_keeps_torchs_operators(monkeypatch):
    monkeypatch.setattr(depthwise, "is_exporting", torch.compiler.is_compiling)
    block = MBConv(4, 4, kernel_size=5)
    x = torch.randn(2, 4, 9, 9, requires_grad=True)
    torch.compiler.reset()
    y = torch.compile(block, backend="eager", fullgraph=True)(x)
    torch.testing.assert_close(y, block(x), atol=1e-5, rtol=1e-4)
    torch.export.export(block.eval(), (x.detach(),))


def test_without_compiled_checkpoints_activations_are_kept(monkeypatch):
    monkeypatch.setattr(block_sequence, "COMPILES_CHECKPOINTS", False)
    blocks = BlockSequence(MBConv(4, 4)).train()
    blocks.recompute = True
    called = []
    monkeypatch.setattr(block_sequence, "checkpoint", lambda *_, **__: called.append(1))
    torch.compiler.reset()
    y = torch.compile(blocks, backend="eager", fullgraph=True)(torch.randn(2, 4, 9, 9))
    assert y.shape == (2, 4, 9, 9)
    assert called == []


def test_the_default_device():
    assert compatibility.default_device() == torch.device("cpu")
    with torch.device("meta"):
        assert compatibility.default_device() == torch.device("meta")
    torch.set_default_device("meta")
    try:
        assert compatibility.default_device() == torch.device("meta")
    finally:
        torch.set_default_device(None)
    assert compatibility.default_device() == torch.device("cpu")
