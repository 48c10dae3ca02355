"""The layers of a fused model as plain functions over oneDNN's operators: float32, on a CPU, no gradient.

A map of one image is computed in tens of microseconds, of which the calls of modules, the checks before an
operator and the bringing of weights into oneDNN's layout take a large part. Here they are done once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial, singledispatch
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightcars.compatibility import is_tracing
from lightcars.deploy.fused_layers import FusedBlock, FusedConv, FusedGhost, FusedSqueezeExcite
from lightcars.layers.composite import Composite
from lightcars.layers.conv_norm_act import same_padding

Kernel: TypeAlias = Callable[[Tensor], Tensor]
Pads: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""Pixels of padding (before, after) the height and the width."""
_Arguments: TypeAlias = tuple[Any, ...]

PostOp: TypeAlias = tuple[str, list[float], str]
"""An activation as oneDNN computes it with a convolution: its name, numbers and algorithm."""

_POST_OPS: dict[type, PostOp] = {
    type(None): ("none", [], ""),
    nn.ReLU: ("relu", [], ""),
    nn.ReLU6: ("hardtanh", [0.0, 6.0], ""),
    nn.SiLU: ("swish", [], ""),
    nn.Hardswish: ("hardswish", [], ""),
    nn.Hardsigmoid: ("hardsigmoid", [], ""),
}
"""Other activations run as modules; a test asserts that no registered model has one."""


def _post_op(act: nn.Module | None) -> PostOp | None:
    return _POST_OPS.get(type(act))


def _operator(name: str) -> Any:
    """Return an operator of torch.ops.mkldnn without the Python around it, or None.

    torch.compile lowers convolutions to these on a CPU. They have no gradient, and are not public: so
    everything works without them too.
    """
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, name):
        return None
    overload = getattr(torch.ops.mkldnn, name).default
    return getattr(overload, "_op", overload)


_convolution, _linear = _operator("_convolution_pointwise"), _operator("_linear_pointwise")
_pack_convolution = _operator("_reorder_convolution_weight")
_pack_linear = _operator("_reorder_linear_weight")
AVAILABLE = all((_convolution, _linear, _pack_convolution, _pack_linear))


def suits(x: Tensor) -> bool:
    """Return whether an input can go through `kernel`'s functions: a plain tensor, not one that traces."""
    return (
        AVAILABLE
        and not torch.compiler.is_compiling()
        and type(x) is Tensor
        and x.is_cpu
        and x.dtype == torch.float32
        and not x.requires_grad
        and not is_tracing()
    )


def can_prepare(parameters: Iterable[Tensor]) -> bool:
    """Return whether weights can be prepared for `kernel`'s functions."""
    return all(p.is_cpu and p.dtype == torch.float32 and not p.requires_grad for p in parameters)


@singledispatch
def kernel(layer: nn.Module) -> Kernel:
    """Return the layer as a function with its weights in oneDNN's layout. Its maps are channels_last."""
    return layer


@kernel.register
def _(layer: FusedConv) -> Kernel:
    post_op = _post_op(layer.act)
    if post_op is None:
        return layer
    conv = layer.conv
    if layer.pads_same:
        return _same_convolution(conv, post_op)
    if conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.groups == 1:
        return _pixelwise(conv, post_op)
    height, width = int(conv.padding[0]), int(conv.padding[1])
    return _padded_convolution(conv, post_op, ((height, height), (width, width)))


def _pixelwise(conv: nn.Conv2d, post_op: PostOp) -> Kernel:
    """Return a 1x1 convolution as a linear layer over the pixels, whose call costs less."""
    rest: _Arguments = (
        _pack_linear(conv.weight.detach().flatten(1).contiguous()),
        conv.bias,
        *post_op,
    )

    def run(x: Tensor) -> Tensor:
        y: Tensor = _linear(x.permute(0, 2, 3, 1), *rest)
        return y.permute(0, 3, 1, 2)

    return run


def _padded_convolution(conv: nn.Conv2d, post_op: PostOp, pads: Pads) -> Kernel:
    """oneDNN pads both ends alike: what is less before than after, the kernel gets as zeros."""
    (top, bottom), (left, right) = pads
    weight = F.pad(conv.weight.detach(), (right - left, 0, bottom - top, 0))
    geometry = ([bottom, right], list(conv.stride), list(conv.dilation), conv.groups)
    rest: _Arguments = (_pack_convolution(weight, *geometry, None), conv.bias, *geometry, *post_op)

    def run(x: Tensor) -> Tensor:
        y: Tensor = _convolution(x, *rest)
        return y

    return run


def _same_convolution(conv: nn.Conv2d, post_op: PostOp) -> Kernel:
    """SAME padding: for each amount of it, at most two an axis, a kernel made at the first need."""
    prepared: dict[Pads, Kernel] = {}
    pads_of = partial(same_padding, kernel_size=conv.kernel_size[0], stride=conv.stride[0])

    def run(x: Tensor) -> Tensor:
        pads = (pads_of(x.shape[2]), pads_of(x.shape[3]))
        if pads not in prepared:
            prepared[pads] = _padded_convolution(conv, post_op, pads)
        return prepared[pads](x)

    return run


@kernel.register
def _(layer: FusedSqueezeExcite) -> Kernel:
    reduce, expand = (partial(_affine, part.weight, part.bias) for part in (layer.reduce, layer.expand))
    act, gate = layer.act, layer.gate

    def run(x: Tensor) -> Tensor:
        scale: Tensor = gate(expand(act(reduce(x.mean((2, 3))))))
        return x.mul_(scale[:, :, None, None])

    return run


def _affine(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    return F.linear(x, weight, bias)


@kernel.register
def _(layer: FusedGhost) -> Kernel:
    primary, cheap, ghosts = kernel(layer.primary), kernel(layer.cheap), layer.ghosts
    has_surplus = ghosts < layer.cheap.conv.out_channels

    def run(x: Tensor) -> Tensor:
        base = primary(x)
        y = cheap(base)
        return torch.cat((base, y[:, :ghosts] if has_surplus else y), 1)

    return run


@kernel.register
def _(layers: nn.Sequential) -> Kernel:
    steps = [kernel(layer) for layer in layers]

    def run(x: Tensor) -> Tensor:
        for step in steps:
            x = step(x)
        return x

    return run


@kernel.register
def _(layer: FusedBlock) -> Kernel:
    branch = kernel(layer.branch)
    shortcut = None if layer.shortcut is None else kernel(layer.shortcut)
    if not layer.residual:
        return branch

    def run(x: Tensor) -> Tensor:
        y = branch(x)
        y += x if shortcut is None else shortcut(x)
        return y

    return run


@kernel.register
def _(layer: Composite) -> Kernel:
    """Return the layer's own forward pass, with functions in place of its children."""
    twin = copy.copy(layer)
    functions: dict[str, Any] = {
        name: [kernel(part) for part in child] if isinstance(child, nn.ModuleList) else kernel(child)
        for name, child in layer.named_children()
    }
    twin._modules = {}
    vars(twin).update(functions)
    return twin.forward
