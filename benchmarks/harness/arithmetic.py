"""Multiply-accumulates by the arithmetic of Python-level functions: an independent check of the counters.

The counters see the operators that torch runs. This sees the calls of `torch.nn.functional` and `torch`
before they become operators, and works out each from the shapes of its arguments and result.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Cost = Callable[..., int]
"""Takes the arguments of a call, and its result as `out`."""


class Arithmetic(TorchFunctionMode):
    """Adds up the calls made inside, by kind.

    Attributes:
        macs: multiply-accumulates by kind, such as "convolution" or "attention".
        broadcast: what fvcore counts too little in products whose first operand is broadcast; it reads the
            size of the operand as it is, not as it is multiplied.
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs: Counter[str] = Counter()
        self.broadcast = 0

    @property
    def total(self) -> int:
        return sum(self.macs.values())

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        for kind, cost in COSTS.get(func, ()):
            self.macs[kind] += cost(*args, **kwargs, out=result)
        if func in MATRIX_PRODUCTS:
            left, right = operands(*args, **kwargs)
            if left.ndim > 1 and right.ndim > 1:
                self.broadcast += matrix_product(left, right, out=result) - left.numel() * right.shape[-1]
        return result


def operands(left: Tensor, right: Tensor | None = None, **named: Any) -> tuple[Tensor, Tensor]:
    """Return both operands of a product, however they are named."""
    return left, next(value for value in (right, *named.values()) if isinstance(value, Tensor))


def convolution(_input: Tensor, weight: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    """Each output value is a product of one filter, (out, in / groups, *kernel)."""
    return out.numel() * weight[0].numel()


def transposed_convolution(input: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    """Each input value meets one filter, (in, out / groups, *kernel)."""
    return input.numel() * weight[0].numel()


def linear(_input: Tensor, weight: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    return out.numel() * weight.shape[1]


def matrix_product(left: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    return out.numel() * left.shape[-1]


def added_product(_added: Tensor, left: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    return out.numel() * left.shape[-1]


def attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    """Scores, then their weighted sum of the values; masks are not deducted."""
    return query[..., 0].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def projections(query: Tensor, key: Tensor, value: Tensor, width: int, *_: Any, **__: Any) -> int:
    """Of `nn.MultiheadAttention`: query, key, value and output."""
    return width * (2 * query.numel() + key.numel() + value.numel())


def scores(query: Tensor, key: Tensor, _value: Tensor, width: int, *_: Any, **__: Any) -> int:
    """Of `nn.MultiheadAttention`, for inputs of (L, N, width): scores, and their weighted sum."""
    return 2 * query.shape[1] * query.shape[0] * key.shape[0] * width


def lstm(input: Tensor, _states: Any, weights: list[Tensor], *_: Any, **__: Any) -> int:
    """Each matrix is applied once per step of the sequence and sample."""
    steps = input[..., 0].numel()
    return steps * sum(weight.numel() for weight in weights if weight.ndim == 2)


def einsum(equation: str, *operands: Any, **_: Any) -> int:
    """Of two operands: one multiply-accumulate per combination of indices, if one is summed over."""
    tensors = operands[0] if isinstance(operands[0], list | tuple) else operands
    inputs, output = re.sub(r"\s", "", equation).split("->")
    sizes: dict[str, int] = {}
    for names, tensor in zip(inputs.split(","), tensors, strict=True):
        sizes |= dict(zip(names, tensor.shape, strict=True))
    assert len(tensors) == 2, equation
    return math.prod(sizes.values()) if set(sizes) - set(output) else 0


MATRIX_PRODUCTS = frozenset({torch.matmul, Tensor.matmul, Tensor.__matmul__})
COSTS: dict[Any, tuple[tuple[str, Cost], ...]] = {
    **dict.fromkeys((F.conv1d, F.conv2d, F.conv3d), (("convolution", convolution),)),
    **dict.fromkeys(
        (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d),
        (("transposed convolution", transposed_convolution),),
    ),
    F.linear: (("linear", linear),),
    **dict.fromkeys(
        (*MATRIX_PRODUCTS, torch.mm, torch.bmm, torch.mv, torch.dot, Tensor.mm, Tensor.bmm, Tensor.mv),
        (("matrix product", matrix_product),),
    ),
    **dict.fromkeys(
        (torch.addmm, torch.baddbmm, Tensor.addmm, Tensor.baddbmm), (("added product", added_product),)
    ),
    F.scaled_dot_product_attention: (("fused attention", attention),),
    F.multi_head_attention_forward: (("linear", projections), ("fused attention", scores)),
    torch.einsum: (("einsum", einsum),),
    torch.lstm: (("LSTM", lstm),),
}
"""Function -> kinds and costs."""
