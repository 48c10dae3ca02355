"""Check tensors from a file: plain, dense and finite, as the weights of a model are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lightcars.errors import CheckpointError

_FLOATING = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_DTYPES = (*_FLOATING, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
_VARIANCE = "running_var"
_MAX_SHARING = 8
"""How many times the bytes in a file all its tensors may have; those that share memory have more than one."""
_NAMED = 3
"""How many tensors an error names."""


def check_tensors(tensors: Mapping[str, Tensor], origin: object) -> None:
    """Raise an error if these cannot be a model's weights.

    Args:
        tensors: by name.
        origin: named in errors.

    Raises:
        CheckpointError: tensors that are sparse, quantized, without values, of float8 or complex numbers, or
            that share the same memory to make a small file large; NaN, infinity or a negative variance.
    """
    for name, tensor in tensors.items():
        problem = _kind_problem(tensor)
        if problem is not None:
            raise CheckpointError(f"{name} in {origin} {problem}; weights are plain, dense tensors.")
    _check_sharing(list(tensors.values()), origin)
    values = {name: tensor for name, tensor in tensors.items() if _has_values(tensor)}
    lowest, highest = _extremes(list(values.values()))
    finite = (lowest.isfinite() & highest.isfinite()).tolist()
    wrong = [name for name, is_finite in zip(values, finite, strict=True) if not is_finite]
    if wrong:
        raise CheckpointError(
            f"{origin} has NaN or infinite values in {_list(wrong)}; its training diverged, or the file is"
            " corrupt: copy it again or use another one."
        )
    low = dict(zip(values, lowest.tolist(), strict=True))
    negative = [name for name in values if name.rpartition(".")[2] == _VARIANCE and low[name] < 0]
    if negative:
        raise CheckpointError(
            f"{origin} has negative variances in {_list(negative)}; the file is corrupt, copy it again."
        )


def _kind_problem(tensor: Tensor) -> str | None:
    if tensor.layout is not torch.strided:
        return "is a sparse tensor"
    if tensor.is_quantized:
        return "is a quantized tensor"
    if tensor.dtype not in _DTYPES:
        return f"is of {str(tensor.dtype).removeprefix('torch.')}"
    if tensor.is_meta:
        return "has no values (meta device)"
    if tensor.nbytes > tensor.untyped_storage().nbytes():
        return "repeats the same values (strides of 0)"
    return None


def _check_sharing(tensors: list[Tensor], origin: object) -> None:
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    shared, size = sum(storages.values()), sum(tensor.nbytes for tensor in tensors)
    if size > _MAX_SHARING * shared:
        raise CheckpointError(
            f"the tensors in {origin} share {shared} bytes and would take {size} when loaded, far more than"
            " real weights; get the file from another source."
        )


def _has_values(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.numel() > 0


def _extremes(tensors: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the minimum and the maximum of each tensor, NaN where it holds NaN, on the CPU."""
    if not tensors:
        return torch.empty(0), torch.empty(0)
    pairs = torch.stack([torch.stack(tensor.detach().aminmax()).double() for tensor in tensors]).cpu()
    return pairs[:, 0], pairs[:, 1]


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
