"""Fold the batch norms of other libraries' models with torch.fx; `fuse` does more for this library's."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lightcars.deploy.packages import quietly


@torch.inference_mode(mode=False)
@torch.no_grad()
def folded(model: nn.Module) -> nn.Module:
    """Return a channels_last copy for inference, with batch norms folded into convolutions where possible.

    torch.fx has to trace the model for that. A model with control flow that depends on its input, or with a
    layer that is called twice, keeps its batch norms.

    Args:
        model: in evaluation mode and float32; it is not changed.
    """
    result: nn.Module = copy.deepcopy(model).requires_grad_(False)
    traced = _traced(result)
    if traced is not None:
        for node in list(traced.graph.nodes):
            _fold(traced, node)
        traced.graph.lint()
        traced.recompile()
        traced.delete_all_unused_submodules()
        result = traced
    return result.eval().to(memory_format=torch.channels_last)


class _Tracer(fx.Tracer):
    """Does not trace into subclasses of batch norms, such as timm's, which include an activation."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _BatchNorm) or super().is_leaf_module(m, module_qualified_name)


def _traced(model: nn.Module) -> fx.GraphModule | None:
    try:
        with quietly():
            graph = _Tracer().trace(model)
            traced = fx.GraphModule(model, graph)
    except Exception:  # whatever the model's own code raises on fx's proxies
        return None
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    return traced if all(count == 1 for count in calls.values()) else None


def _fold(traced: fx.GraphModule, node: fx.Node) -> None:
    """Fold one batch norm, if `node` calls one right after a convolution."""
    norm, before = _module(traced, node), node.args[0] if node.args else None
    if not isinstance(norm, _BatchNorm) or not isinstance(before, fx.Node) or len(before.users) > 1:
        return
    conv = _module(traced, before)
    rest = _after_norm(norm)
    if type(conv) is not nn.Conv2d or rest is None or norm.running_mean is None:
        return
    traced.set_submodule(str(before.target), fuse_conv_bn_eval(conv, norm))
    traced.set_submodule(str(node.target), rest)


def _after_norm(norm: Any) -> nn.Module | None:
    """Return what a kind of batch norm does after normalizing; None for unknown kinds."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    if type(norm).__name__ == "BatchNormAct2d" and isinstance(norm.act, nn.Module):  # timm's
        return nn.Sequential(norm.drop, norm.act)
    return None


def _module(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None
