"""What this library uses of torch that is private, or that its oldest supported version lacks, in one place.

Each name has a fall back, with which everything works: slower, or with less said. docs/versions.md lists the
versions that are tested.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.nn.modules import module as _modules

_GLOBAL_HOOKS = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
)


def _found(root: ModuleType, name: str, fall_back: Any) -> Any:
    """Return a module's attribute, or what takes its place where this torch has none."""
    return getattr(root, name, fall_back)


def _never() -> bool:
    return False


def _any_global_hook() -> bool:
    return any(getattr(_modules, name, None) for name in _GLOBAL_HOOKS)


is_exporting: Callable[[], bool] = _found(torch.compiler, "is_exporting", torch.compiler.is_compiling)
"""Return whether `torch.export` traces; before torch 2.7 whether anything compiles."""

has_global_hook: Callable[[], bool] = _found(_modules, "_has_any_global_hook", _any_global_hook)
"""Return whether a hook is attached to all modules."""

is_tracing: Callable[[], bool] = _found(torch._C, "_is_tracing", _never)
"""Return whether `torch.jit.trace` traces."""

has_function_transform: Callable[[], bool] = _found(torch._C, "_are_functorch_transforms_active", _never)
"""Return whether a transform of `torch.func` is active."""


def has_forward_gradients() -> bool:
    """Return whether forward-mode gradients are computed."""
    level: int = getattr(forward_ad, "_current_level", -1)
    return level >= 0


COMPILES_CHECKPOINTS = torch.__version__ >= "2.9"
"""Whether a compiled graph with gradient checkpointing updates the statistics of batch norms once.

torch 2.7 updates them twice; a compiled model keeps its activations there, which costs memory only.
"""


def default_device() -> torch.device:
    """Return the device of new tensors; torch 2.6's `get_default_device` ignores `with torch.device(...)`."""
    return torch.empty(0).device
