"""Conditions for the shortcuts of blocks: eager execution on plain tensors, without hooks or transforms."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from lightcars.compatibility import has_forward_gradients, has_function_transform, has_global_hook, is_tracing

IN_PLACE: Mapping[type[nn.Module], Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        nn.Identity: lambda x: x,
        nn.ReLU: F.relu_,
        nn.ReLU6: partial(F.relu6, inplace=True),
        nn.SiLU: partial(F.silu, inplace=True),
        nn.Hardswish: partial(F.hardswish, inplace=True),
    }
)
"""Activations by exact type, and the same functions written over their input."""


def shape_of(x: Any) -> tuple[int, ...] | None:
    """Return the shape of x as plain numbers, which are no part of a trace; None while `torch.fx` traces."""
    if not isinstance(x, Tensor):
        return None
    if torch.compiler.is_compiling() or not is_tracing():  # compilers of torch 2.6 follow the first alone
        return tuple(x.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TracerWarning)
        return tuple(int(side) for side in x.shape)


def is_eager(x: Tensor) -> bool:
    """Return whether x is a plain tensor that no tracer, compiler or function transform follows."""
    return (
        type(x) is Tensor
        and not torch.compiler.is_compiling()
        and not is_tracing()  # torch.jit.trace, and fvcore, which uses it
        and not has_function_transform()
        and not has_forward_gradients()
    )


def is_hooked(*modules: nn.Module) -> bool:
    """Return whether one of the modules has hooks or a replaced `forward`."""
    for module in modules:  # no generator: blocks ask this at each call
        if (
            module._forward_hooks
            or module._forward_pre_hooks
            or module._backward_hooks
            or module._backward_pre_hooks
            or "forward" in vars(module)
        ):
            return True
    return has_global_hook()


def may_overwrite(x: Tensor) -> bool:
    """Return whether x may be overwritten by the only one that holds it: in inference only."""
    return not torch.is_grad_enabled() and is_eager(x)


def activate(act: nn.Module, x: Tensor, *, made_by: nn.Module) -> Tensor:
    """Return `act(x)`, in inference written over x if a convolution or batch norm has just made it.

    The modules themselves are not in-place, and hooks see what each of them returns.

    Args:
        act: an activation.
        x: what `made_by` returned.
        made_by: the layer before.
    """
    if (
        may_overwrite(x)
        and type(act) in IN_PLACE
        and type(made_by) in (nn.BatchNorm2d, nn.Conv2d)
        and not is_hooked(made_by, act)
    ):
        return IN_PLACE[type(act)](x)
    y: Tensor = act(x)
    return y
