"""A copy of a model without its weights, and an input for it: what the counters run."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lightcars.errors import CountingError, InputError, LightcarsError
from lightcars.models.image_model import ImageModel
from lightcars.models.unwrapping import unwrap

InputSize: TypeAlias = int | tuple[int, ...] | list[int] | None

HOOKS = frozenset({"_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"})
_SHARED = frozenset({bool, int, float, str, bytes, tuple, type(None), torch.dtype, torch.device})


@torch.inference_mode(mode=False)
def skeleton(model: nn.Module, *, device: str = "meta") -> nn.Module:
    """A structural copy in evaluation mode whose weights take no memory.

    On the meta device they have shapes only; on another, each is one zero seen at every position.

    The original is only read. The copy leaves out the user's hooks, which could act on the outside;
    hooks that torch itself puts there (weight norm, pruning) stay, because they compute weights.
    """
    try:
        twin = _twin(unwrap(model), device, {})
    except LightcarsError:
        raise
    except Exception as error:
        raise CountingError(
            f"{type(model).__name__} cannot be copied for counting ({error}); count the part of it that"
            " computes."
        ) from error
    return twin.eval()


def _twin(module: nn.Module, device: str, memo: dict[int, Any]) -> nn.Module:
    module = unwrap(module)
    if id(module) in memo:
        known: nn.Module = memo[id(module)]
        return known
    twin: nn.Module = object.__new__(type(module))
    memo[id(module)] = twin
    attributes = vars(module)
    for table in ("_parameters", "_buffers"):
        for name, tensor in attributes[table].items():
            if tensor is not None and id(tensor) not in memo:
                memo[id(tensor)] = _weightless(tensor, f"{type(module).__name__}.{name}", device)
        twin.__dict__[table] = {n: t if t is None else memo[id(t)] for n, t in attributes[table].items()}
    twin.__dict__["_modules"] = {
        name: child if child is None else _twin(child, device, memo)
        for name, child in attributes["_modules"].items()
    }
    for name, value in attributes.items():
        if name not in twin.__dict__:
            twin.__dict__[name] = _copied(name, value, device, memo)
    return twin


def _copied(name: str, value: Any, device: str, memo: dict[int, Any]) -> Any:
    if name == "_compiled_call_impl":
        return None
    kind = type(value)
    if kind in _SHARED:
        return value
    if kind in (dict, OrderedDict) and not value:
        return kind()
    if name in HOOKS:
        kept = {key: hook for key, hook in value.items() if is_torchs_own(hook)}
        return OrderedDict(copy.deepcopy(kept, memo))
    if isinstance(value, Tensor):
        return memo.setdefault(id(value), _weightless(value, name, device))
    return copy.deepcopy(value, memo)


def is_torchs_own(hook: object) -> bool:
    """Whether torch put a hook there, to compute weights (weight norm, pruning)."""
    return type(hook).__module__.startswith("torch.")


def _weightless(tensor: Tensor, name: str, device: str) -> Tensor:
    if is_lazy(tensor):
        raise CountingError(f"{name} has no shape yet (a lazy module); run one batch through the model.")
    if device == "meta":
        twin = torch.empty_like(tensor, device="meta", requires_grad=False)
    else:
        twin = torch.zeros((), dtype=tensor.dtype, device=device).expand(tensor.shape)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(twin, requires_grad=tensor.requires_grad)
    return twin


def input_shape(model: nn.Module, input_size: InputSize) -> tuple[int, ...]:
    """The shape of the input that `input_size` means for `model`.

    Args:
        model: its config or its first convolution tells the number of channels.
        input_size: None (the model's own resolution), an int (square), (H, W) or (N, C, H, W).
    """
    model = unwrap(model)
    if input_size is None:
        if not isinstance(model, ImageModel):
            raise InputError(
                f"{type(model).__name__} does not say its input size; give input_size as an int, (H, W) or"
                " (N, C, H, W)."
            )
        input_size = model.config.resolution
    sides: tuple[Any, ...] = (input_size, input_size)
    if isinstance(input_size, list | tuple):
        sides = tuple(input_size)
    if any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in sides):
        raise InputError(f"input_size must be made of positive whole numbers, not {input_size!r}.")
    if len(sides) == 2:
        return (1, _image_channels(model), *sides)
    if len(sides) == 4:
        return sides
    raise InputError(f"input_size must be an int, (H, W) or (N, C, H, W), not {input_size!r}.")


def _image_channels(model: nn.Module) -> int:
    if isinstance(model, ImageModel):
        return model.config.img_channels
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    raise InputError(f"{type(model).__name__} has no convolution that tells its channels; give (N, C, H, W).")


def blank_input(twin: nn.Module, shape: tuple[int, ...], *, device: str = "meta") -> Tensor:
    """An input of that shape for a skeleton, in its precision."""
    dtype = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
    make = torch.empty if device == "meta" else torch.zeros  # zeros on meta imports a thousand modules
    return make(shape, dtype=dtype, device=device)


@contextmanager
def running_skeleton(*, device: str = "meta") -> Iterator[None]:
    """Runs a skeleton: new tensors on its device, random state kept, failures told in one line."""
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operators have no count
    try:
        with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]), torch.device(device):
            yield
    except LightcarsError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise CountingError(
            f"the model cannot run without its values ({type(error).__name__}: {reason}); check input_size,"
            " or count the part of it whose forward does not depend on them."
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
