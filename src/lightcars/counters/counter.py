"""Count the multiply-accumulates of everything that runs, and name the products that have no formula."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import torch
import torch._dynamo  # which a dispatch mode imports at its first operator: rather here than in a count
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from lightcars.counters.formulas import Formula, formula_of, multiplies_uncounted, qualified_name
from lightcars.errors import CountingWarning

_COPY = torch.ops.aten._to_copy.default


class MacCounter(TorchDispatchMode):
    """Dispatch mode that counts multiply-accumulates by operator.

    Composite operators, which arrive whole in inference mode only, are decomposed. A copy from the meta
    device to another stays on meta, so that a model that moves its tensors to a fixed device can be counted.

    Attributes:
        total: multiply-accumulates so far.
        by_operator: the same by operator; a counted operator that did nothing is in it with 0.
        uncounted: operators that multiply and have no formula, in the order of their first call.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self.by_operator: Counter[Any] = Counter()
        self.uncounted: dict[str, None] = {}
        self._formulas: dict[Any, Formula | None] = {}
        self._composite: set[Any] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in self._formulas:
            self._examine(func)
        if func in self._composite:
            with self:
                return func.decompose(*args, **kwargs)
        if func is _COPY and args[0].is_meta:
            kwargs = {name: value for name, value in kwargs.items() if name != "device"}
        result = func(*args, **kwargs)
        formula = self._formulas[func]
        if formula is not None:
            macs = formula(*args, out_val=result, **kwargs)
            self.total += macs
            self.by_operator[_packet(func)] += macs
        return result

    def _examine(self, func: Any) -> None:
        operator = _packet(func)
        self._formulas[func] = formula_of(operator)
        if self._formulas[func] is not None:
            return
        if not isinstance(func, HigherOrderOperator) and func._can_decompose():
            self._composite.add(func)
        elif multiplies_uncounted(operator):
            self.uncounted[qualified_name(operator).replace("::", ".")] = None

    def warn(self, model: nn.Module, *, stacklevel: int) -> None:
        """Warn of the products that have no count, if there are any."""
        if self.uncounted:
            warnings.warn(
                f"{type(model).__name__} runs {', '.join(self.uncounted)}, which may multiply but has no"
                " count; register a formula with torch.utils.flop_counter.register_flop_formula.",
                CountingWarning,
                stacklevel=stacklevel + 1,
            )


class LayerCounter:
    """Attribute the multiply-accumulates of a forward pass to modules.

    Attributes:
        macs: of each module's calls, with those of the modules inside it.
        shapes: of the output of each module's last call, where that is one tensor.
    """

    def __init__(self, model: nn.Module, counter: MacCounter) -> None:
        self.macs: Counter[nn.Module] = Counter()
        self.shapes: dict[nn.Module, tuple[int, ...]] = {}
        self._counter = counter
        self._entries: dict[nn.Module, list[int]] = {}
        for module in model.modules():
            module.register_forward_pre_hook(self._enter)
            module.register_forward_hook(self._leave)

    def _enter(self, module: nn.Module, _args: object) -> None:
        self._entries.setdefault(module, []).append(self._counter.total)

    def _leave(self, module: nn.Module, _args: object, output: object) -> None:
        entry = self._entries[module].pop()
        if not self._entries[module]:  # the outermost call of a module that calls itself
            self.macs[module] += self._counter.total - entry
        if isinstance(output, Tensor):
            self.shapes[module] = tuple(output.shape)


def _packet(func: Any) -> Any:
    return func if isinstance(func, HigherOrderOperator) else func.overloadpacket
