"""Latency of a model on this machine, and the share of the machine's peak rate that it reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightcars.counters.inputs import ModelInputs
from lightcars.counters.peak import attainable_rate
from lightcars.counters.skeleton import HOOKS, is_torchs_own
from lightcars.counters.timing import time_calls
from lightcars.errors import CountingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Measured latency of one pass of a model.

    Attributes:
        device: device of the model.
        threads: PyTorch's CPU threads.
        calls, median_ms, p95_ms: as in `Timing`, for one batch.
        images_per_second: batch (first dimension of the first input) divided by the median latency.
        macs_per_second: multiply-accumulates of the pass divided by the median latency.
        peak_macs_per_second: rate of large matrix products in the model's precision, measured right after.
        peak_share_percent: `macs_per_second` as a percentage of `peak_macs_per_second`.
    """

    device: str
    threads: int
    calls: int
    median_ms: float
    p95_ms: float
    images_per_second: float
    macs_per_second: float
    peak_macs_per_second: float
    peak_share_percent: float


def measure_latency(model: nn.Module, given: ModelInputs, *, macs: int, backward: bool = False) -> Latency:
    """Run a model on its own device, and leave it unchanged.

    It runs in evaluation mode without the user's hooks, on random inputs; random state and gradients are
    preserved.

    Args:
        model: any module.
        given: its inputs; those given as shapes become random tensors.
        macs: multiply-accumulates of the pass.
        backward: measure the forward and the backward pass together.

    Raises:
        CountingError: the model has no weights, or fails to run.
    """
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise CountingError("a model on the meta device has no weights to run; build it on another device.")
    device = tensors[0].device if tensors else torch.device("cpu")
    dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)
    random = given.random(model, device)
    try:
        with _evaluation_mode(model), torch.inference_mode(mode=False), torch.set_grad_enabled(backward):
            timing = time_calls(_pass(model, random, backward=backward), device)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise CountingError(
            f"the model cannot be run for its latency ({type(error).__name__}: {reason})."
        ) from error
    rate = 1000 * macs / timing.median_ms
    peak = attainable_rate(device, dtype)
    return Latency(
        device=str(device),
        threads=torch.get_num_threads(),
        calls=timing.calls,
        median_ms=timing.median_ms,
        p95_ms=timing.p95_ms,
        images_per_second=1000 * _batch_size(given) / timing.median_ms,
        macs_per_second=rate,
        peak_macs_per_second=peak,
        peak_share_percent=100 * rate / peak,
    )


def _batch_size(given: ModelInputs) -> int:
    """Return the first dimension of the first tensor; 1 without one."""
    return next((shape[0] for shape in given.shapes if shape), 1)


def _pass(model: nn.Module, given: ModelInputs, *, backward: bool) -> Callable[[], object]:
    if not backward:
        return lambda: model(*given.args, **given.kwargs)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def both() -> object:
        outputs = tree_leaves(model(*given.args, **given.kwargs))
        leaves = [leaf for leaf in outputs if isinstance(leaf, Tensor)]
        sums = [leaf.sum() for leaf in leaves if leaf.requires_grad]
        return torch.autograd.grad(sums, trained, allow_unused=True)  # leaves the parameters' .grad alone

    return both


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode and remove the user's hooks, then restore both."""
    modules = list(model.modules())
    modes = [module.training for module in modules]
    hooks = _without_hooks(modules)
    devices = sorted({tensor.device.index for tensor in model.parameters() if tensor.is_cuda})
    try:
        model.eval()
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for table, before in hooks:
            table.clear()
            table.update(before)
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _without_hooks(modules: list[nn.Module]) -> list[tuple[dict[int, Any], dict[int, Any]]]:
    """Remove the user's hooks; return each table with its previous content."""
    taken = []
    for module in modules:
        for table in (vars(module)[name] for name in HOOKS):
            theirs = [key for key, hook in table.items() if not is_torchs_own(hook)]
            if theirs:
                taken.append((table, dict(table)))
            for key in theirs:
                del table[key]
    return taken
