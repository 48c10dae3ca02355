"""Record every operator that a model runs: calls, elements written, and live memory."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_aten = torch.ops.aten
MATRIX_OPERATORS = frozenset(
    {
        _aten.convolution,
        _aten._convolution,
        _aten.mm,
        _aten.addmm,
        _aten.bmm,
        _aten.baddbmm,
        _aten.addbmm,
        _aten.mv,
        _aten.addmv,
    }
)
"""Operators whose outputs are activations in fvcore's sense."""


class Recorder(TorchDispatchMode):
    """Dispatch mode to enter before a `MacCounter`, which decomposes composite operators first.

    Attributes:
        calls: number of calls by operator.
        outputs: elements written by operator.
        activations: elements written by convolutions and matrix products.
        live_bytes, peak_bytes: memory of all tensors created inside, current and maximum.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[Any] = Counter()
        self.outputs: Counter[Any] = Counter()
        self.activations = 0
        self.live_bytes = 0
        self.peak_bytes = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "is_view", False):
            return result
        operator = getattr(func, "overloadpacket", func)  # a higher-order operator has no overloads
        written = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if operator in MATRIX_OPERATORS:
            self.activations += sum(tensor.numel() for tensor in written)
        if _reads_tensors(args):
            self.calls[operator] += 1
            self.outputs[operator] += sum(tensor.numel() for tensor in written)
        for tensor in written:
            self.watch(tensor)
        return result

    def watch(self, tensor: Tensor) -> None:
        """Count the memory of `tensor` until it is freed."""
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(storage, self._freed, size)

    def _freed(self, size: int) -> None:
        self.live_bytes -= size


def _reads_tensors(args: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in tree_leaves(args))
