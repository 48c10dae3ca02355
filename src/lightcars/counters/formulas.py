"""Multiply-accumulates of operators: torch's own formulas, corrected and completed.

torch counts two FLOPs per multiply-accumulate; everything here counts one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils import flop_counter

Formula = Callable[..., int]
"""Takes an operator's arguments, and its result as `out_val`; returns multiply-accumulates."""

_OWN_NAMESPACES = frozenset({"aten", "prim", "prims", "profiler", "c10d", "_c10d_functional"})
_POOLING = re.compile(r"torchvision::(nms|_?(ps_)?roi_(align|pool).*)")
_PRODUCT = re.compile(
    r"mm(_|$)|mv$|dot$|matmul|conv(olution|_|\d|$)|fft|attention|encoder_layer|rnn|(quantized|mps)_?(lstm|gru)"
    r"|lstm_mps|(^|_)linalg_(?!check|_powsum|vector_norm)|(^|_)linear(_|$)|dist(_|$)|trilinear$"
    r"|cholesky|solve|ormqr|geqrf|matrix_exp"
)
_NO_PRODUCT = re.compile(
    r"^_?upsample|convert|binary_cross|_prepack|_pack_|weight_to_|flatten_weight|reorder"
)
_DISTANCES_WITHOUT_PRODUCTS = (0.0, 1.0, math.inf)


def formula_of(operator: Any) -> Formula | None:
    """Return the formula of an operator (`OpOverloadPacket` or higher-order operator), or None.

    An in-place operator (`addmm_`) has the formula of the other (`addmm`). Formulas that users register with
    `torch.utils.flop_counter.register_flop_formula` are found too.
    """
    name = qualified_name(operator)
    formula = FORMULAS.get(name) or FORMULAS.get(name.removesuffix("_"))
    if formula is not None:
        return formula
    registered = flop_counter.flop_registry.get(operator) or _BY_NAME.get(name.removesuffix("_"))
    return None if registered is None else _halved(registered)


def multiplies_uncounted(operator: Any) -> bool:
    """Return whether an operator without a formula is a matrix product, transform or solver, or unknown.

    Elementwise products, normalization, pooling and interpolation are not counted by convention. An operator
    of another library can do anything, so it is reported.
    """
    namespace, _, name = qualified_name(operator).rpartition("::")
    if namespace not in _OWN_NAMESPACES:
        return _POOLING.fullmatch(f"{namespace}::{name}") is None
    return _PRODUCT.search(name) is not None and _NO_PRODUCT.search(name) is None


def qualified_name(operator: Any) -> str:
    """Return "namespace::name" of an operator, or the name of a higher-order one."""
    name: str = getattr(operator, "_qualified_op_name", None) or str(operator)
    return name


def _halved(formula: Callable[..., int]) -> Formula:
    def macs(*args: Any, **kwargs: Any) -> int:
        return formula(*args, **kwargs) // 2

    return macs


def _matrix_vector(matrix: Tensor, *_: Any, **__: Any) -> int:
    """(n, m) by (m); also the dot product of two vectors (m)."""
    return matrix.numel()


def _added_matrix_vector(_added: Tensor, matrix: Tensor, *_: Any, **__: Any) -> int:
    return matrix.numel()


def _product(left: Tensor, right: Tensor, *_: Any, **__: Any) -> int:
    """(..., n, k) by (..., k, m)."""
    return left.numel() * right.shape[-1]


def _added_product(_added: Tensor, left: Tensor, right: Tensor, *_: Any, **__: Any) -> int:
    return _product(left, right)


def _outer_product(*_: Any, out_val: Tensor, **__: Any) -> int:
    return out_val.numel()


def _time_convolution(_input: Tensor, weight: Tensor, *_: Any, out_val: Tensor, **__: Any) -> int:
    """`conv_tbc`: weight (kernel, in, out), output (time, batch, out)."""
    return out_val.numel() * weight.shape[0] * weight.shape[1]


def _deformable_convolution(_input: Tensor, weight: Tensor, *_: Any, out_val: Tensor, **__: Any) -> int:
    """As the plain convolution: the interpolation of its samples is not counted."""
    return out_val.numel() * weight[0].numel()


def _deformable_convolution_backward(grad: Tensor, _input: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    return 2 * grad.numel() * weight[0].numel()


def _convolution_backward(grad: Tensor, input: Tensor, weight: Tensor, *settings: Any, **_: Any) -> int:
    """`aten.convolution_backward`, also for grouped convolutions, which torch 2.15 overcounts.

    The gradient of the input and the gradient of the weight each pair every weight with every position that
    it met in the forward pass, so each costs what the forward pass cost. `settings` are bias sizes, stride,
    padding, dilation, transposed, output padding, groups, output mask.
    """
    transposed, output_mask = settings[4], settings[7]
    positions = input.shape[2:] if transposed else grad.shape[2:]
    forward = grad.shape[0] * math.prod(positions) * weight.numel()
    return forward * (bool(output_mask[0]) + bool(output_mask[1]))


def _trilinear(
    first: Tensor,
    second: Tensor,
    third: Tensor,
    *dims: list[int],
    **_: Any,
) -> int:
    """`aten._trilinear`, behind `nn.Bilinear`: two products, one after the other.

    `dims` are the dimensions that are broadcast in each tensor, then those summed over. The first product
    sums over the dimensions that the third tensor does not have.
    """
    *expanded, summed = dims[:4]
    sizes = [_unsqueezed(t.shape, e) for t, e in zip((first, second, third), expanded, strict=True)]
    pair = [max(a, b) for a, b in zip(sizes[0], sizes[1], strict=True)]
    reduced = [1 if d in summed and d in expanded[2] else size for d, size in enumerate(pair)]
    return math.prod(pair) + math.prod(max(a, b) for a, b in zip(reduced, sizes[2], strict=True))


def _unsqueezed(shape: tuple[int, ...], expanded: list[int]) -> list[int]:
    sizes = list(shape)
    for dim in sorted(expanded):
        sizes.insert(dim, 1)
    return sizes


def _distances(left: Tensor, _right: Tensor, p: float = 2.0, *_: Any, out_val: Tensor, **__: Any) -> int:
    """One squared difference per pair of rows and feature; none for norms that only compare and add."""
    return 0 if p in _DISTANCES_WITHOUT_PRODUCTS else out_val.numel() * left.shape[-1]


def _euclidean_distances(left: Tensor, _right: Tensor, *_: Any, out_val: Tensor, **__: Any) -> int:
    return out_val.numel() * left.shape[-1]


def _distances_backward(grad: Tensor, left: Tensor, *rest: Any, **_: Any) -> int:
    p = next(value for value in rest if not isinstance(value, Tensor))
    return 0 if p in _DISTANCES_WITHOUT_PRODUCTS else grad.numel() * left.shape[-1]


def _pairwise_distances(rows: Tensor, p: float = 2.0, *_: Any, out_val: Tensor, **__: Any) -> int:
    return 0 if p in _DISTANCES_WITHOUT_PRODUCTS else out_val.numel() * rows.shape[-1]


FORMULAS: dict[str, Formula] = {
    "aten::mv": _matrix_vector,
    "aten::addmv": _added_matrix_vector,
    "aten::dot": _matrix_vector,
    "aten::vdot": _matrix_vector,
    "aten::addr": _outer_product,
    "aten::addbmm": _added_product,
    "aten::_int_mm": _product,
    "aten::_addmm_activation": _added_product,
    "aten::_sparse_addmm": _added_product,
    "aten::conv_tbc": _time_convolution,
    "aten::convolution_backward": _convolution_backward,
    "aten::_trilinear": _trilinear,
    "aten::_cdist_forward": _distances,
    "aten::_cdist_backward": _distances_backward,
    "aten::_euclidean_dist": _euclidean_distances,
    "aten::_pdist_forward": _pairwise_distances,
    "aten::_pdist_backward": _distances_backward,
    "torchvision::deform_conv2d": _deformable_convolution,
    "torchvision::_deform_conv2d_backward": _deformable_convolution_backward,
}
"""Formulas that torch lacks or gets wrong, by qualified name."""
_BY_NAME = {qualified_name(operator): formula for operator, formula in flop_counter.flop_registry.items()}
