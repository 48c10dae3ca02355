"""A structural copy of a model without its weights, which the counters run."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from lightcars.counters.failures import counting_error
from lightcars.errors import CountingError, LightcarsError
from lightcars.models.unwrapping import unwrap

HOOKS = frozenset({"_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"})
_SHARDING_STATE = "__composable_api_state_key"
"""Start of the attributes of `fully_shard`, whose hooks the copy does not have."""
_PLAIN_TENSORS = frozenset({Tensor, nn.Parameter})
_SHARED = frozenset({bool, int, float, str, bytes, type(None), torch.dtype})


@torch.inference_mode(mode=False)
def skeleton(model: nn.Module, *, device: str = "meta") -> nn.Module:
    """Return a structural copy in evaluation mode whose weights take no memory.

    On the meta device the weights have shapes only; on another, each is one zero expanded to its shape.
    Weights that are sharded over devices (DTensor) become whole. A device that a module holds as an attribute
    becomes that of the copy.

    The original is only read. The copy leaves out the user's hooks, which could have side effects; hooks of
    torch itself (weight norm, pruning) stay, because they compute weights.
    """
    try:
        copied = _copied_module(model, device, {})
    except LightcarsError:
        raise
    except Exception as error:
        raise CountingError(
            f"{type(model).__name__} cannot be copied for counting ({error}); count a part without it."
        ) from error
    with suppress(NotImplementedError):  # a model from torch.export has one mode only
        copied.eval()
    return copied


def _copied_module(module: nn.Module, device: str, memo: dict[int, Any]) -> nn.Module:
    module = unwrap(module)
    if id(module) in memo:
        known: nn.Module = memo[id(module)]
        return known
    copied: nn.Module = object.__new__(type(module))
    memo[id(module)] = copied
    attributes = vars(module)
    for table in ("_parameters", "_buffers"):
        for name, tensor in attributes[table].items():
            if tensor is not None and id(tensor) not in memo:
                memo[id(tensor)] = _weightless(tensor, f"{type(module).__name__}.{name}", device)
        copied.__dict__[table] = {n: t if t is None else memo[id(t)] for n, t in attributes[table].items()}
    copied.__dict__["_modules"] = {
        name: child if child is None else _copied_module(child, device, memo)
        for name, child in attributes["_modules"].items()
    }
    for name, value in attributes.items():
        if name not in copied.__dict__ and not name.startswith(_SHARDING_STATE):
            copied.__dict__[name] = _copied(name, value, device, memo)
    return copied


def _copied(name: str, value: Any, device: str, memo: dict[int, Any]) -> Any:
    if name == "_compiled_call_impl":
        return None
    kind = type(value)
    if kind in (dict, OrderedDict) and not value:
        return kind()
    if name in HOOKS:
        kept = {key: hook for key, hook in value.items() if is_torchs_own(hook)}
        return OrderedDict(copy.deepcopy(kept, memo))
    if kind is torch.device or (kind is str and name == "device"):
        return kind(device)
    if kind in _SHARED or (kind is tuple and all(type(item) in _SHARED for item in value)):
        return value
    for leaf in tree_leaves(value):
        if isinstance(leaf, Tensor):  # which `deepcopy` refuses if it is the result of an operation
            memo.setdefault(id(leaf), _weightless(leaf, name, device))
    return copy.deepcopy(value, memo)


def is_torchs_own(hook: object) -> bool:
    """Return whether a hook is torch's own and computes weights (weight norm, pruning)."""
    return type(hook).__module__.startswith("torch.")


def _weightless(tensor: Tensor, name: str, device: str) -> Tensor:
    if is_lazy(tensor):
        raise CountingError(f"{name} has no shape yet (a lazy module); run one batch through the model.")
    if device != "meta":
        blank = torch.zeros((), dtype=tensor.dtype, device=device).expand(tensor.shape)
    elif type(tensor) not in _PLAIN_TENSORS:  # a DTensor becomes a plain one of its whole shape
        blank = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    else:
        blank = torch.empty_like(tensor, device="meta", requires_grad=False)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(blank, requires_grad=tensor.requires_grad)
    return blank


@contextmanager
def running_skeleton(model: nn.Module, *, device: str = "meta") -> Iterator[None]:
    """Run a skeleton: new tensors on its device, random state preserved, failures told in one line.

    Args:
        model: the skeleton.
        device: device of the skeleton.
    """
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operators have no count
    try:
        with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]), torch.device(device):
            yield
    except LightcarsError:
        raise
    except Exception as error:
        raise counting_error(error, model) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
