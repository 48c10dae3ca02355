"""How long a pass of a model takes on this machine, and which part of the machine's peak that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightcars.counters.peak import attainable_rate
from lightcars.counters.skeleton import HOOKS, is_torchs_own
from lightcars.counters.timing import time_calls
from lightcars.errors import CountingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long one pass of a model took on this machine, at that moment.

    Attributes:
        device: where the model is.
        threads: of PyTorch on the processor.
        calls, median_ms, p95_ms: as in `Timing`, of one batch.
        images_per_second: of the median.
        macs_per_second: multiply-accumulates of the pass by the median.
        peak_macs_per_second: what large matrix products reached right after, in the model's precision.
        peak_share_percent: the former as part of the latter.
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


def measure_latency(
    model: nn.Module, shape: tuple[int, ...], *, macs: int, backward: bool = False
) -> Latency:
    """Runs a model as it is, where it is, and gives it back as it was.

    It runs in evaluation mode without the user's hooks, on made images; random state and gradients stay as
    they are.

    Args:
        model: any module that takes one image tensor.
        shape: (N, C, H, W) of the images.
        macs: multiply-accumulates of the pass.
        backward: measure forward and backward pass together.

    Raises:
        CountingError: it has no weights, or cannot be run.
    """
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise CountingError("a model on the meta device has no weights to run; build it on another device.")
    device = tensors[0].device if tensors else torch.device("cpu")
    dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    try:
        with _at_rest(model), torch.inference_mode(mode=False), torch.set_grad_enabled(backward):
            found = time_calls(_pass(model, images, backward=backward), device)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise CountingError(
            f"the model cannot be run for its latency ({type(error).__name__}: {reason})."
        ) from error
    rate = 1000 * macs / found.median_ms
    peak = attainable_rate(device, dtype)
    return Latency(
        device=str(device),
        threads=torch.get_num_threads(),
        calls=found.calls,
        median_ms=found.median_ms,
        p95_ms=found.p95_ms,
        images_per_second=1000 * shape[0] / found.median_ms,
        macs_per_second=rate,
        peak_macs_per_second=peak,
        peak_share_percent=100 * rate / peak,
    )


def _pass(model: nn.Module, images: Tensor, *, backward: bool) -> Callable[[], object]:
    if not backward:
        return lambda: model(images)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def both() -> object:
        leaves = [leaf for leaf in tree_leaves(model(images)) if isinstance(leaf, Tensor)]
        sums = [leaf.sum() for leaf in leaves if leaf.requires_grad]
        return torch.autograd.grad(sums, trained, allow_unused=True)  # leaves the parameters' .grad alone

    return both


@contextmanager
def _at_rest(model: nn.Module) -> Iterator[None]:
    """In evaluation mode and without the user's hooks, which act on the outside; then as before."""
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
    """Takes the user's hooks out; each table with what was in it."""
    taken = []
    for module in modules:
        for table in (vars(module)[name] for name in HOOKS):
            theirs = [key for key, hook in table.items() if not is_torchs_own(hook)]
            if theirs:
                taken.append((table, dict(table)))
            for key in theirs:
                del table[key]
    return taken
