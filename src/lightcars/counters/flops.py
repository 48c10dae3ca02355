"""How many multiply-accumulates a model takes: what both papers, both theses and fvcore call FLOPs.

Counted are convolutions, linear layers, other matrix products and attention; not normalization,
activations, pooling and additions, which all sources leave out too.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

import torch
import torch._dynamo  # which FlopCounterMode imports at its first operator: rather here than in a count
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lightcars.counters.skeleton import InputSize, blank_input, input_shape, running_skeleton, skeleton
from lightcars.errors import InputError

Engine = Literal["torch", "fvcore"]

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_FVCORE_OPERATORS = ("conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum")


def count_flops(model: nn.Module, input_size: InputSize = None, *, engine: Engine = "torch") -> int:
    """Multiply-accumulates of one forward pass in evaluation mode, exactly.

    The model is not run: a copy without weights is, on torch's meta device. So it costs little memory,
    works for a model on any device, and leaves the model, its mode, hooks and buffers and the random
    state as they were. A compiled model is unwrapped.

    Args:
        model: any module that takes one image tensor.
        input_size: an int (square), (H, W) or (N, C, H, W); None is the model's own resolution, which
            models of other libraries do not have.
        engine: "torch" counts with `FlopCounterMode`, "fvcore" with `FlopCountAnalysis` (slower; on
            convolutions and linear layers they agree to the digit).

    Raises:
        InputError: an input size that is missing or cannot be.
        CountingError: the model cannot be run on shapes alone.

    >>> from lightcars import efficientnet
    >>> count_flops(efficientnet("b0"))
    385814752
    """
    shape = input_shape(model, input_size)
    if engine == "torch":
        return _count_with_torch(model, shape)
    if engine == "fvcore":
        return _count_with_fvcore(model, shape)
    raise InputError(f"engine must be 'torch' or 'fvcore', not {engine!r}.")


def _count_with_torch(model: nn.Module, shape: tuple[int, ...]) -> int:
    twin = skeleton(model)
    for module in twin.modules():
        if type(module) in _BATCH_NORMS:  # nothing to count, yet half of the time on meta
            module.forward = _unchanged
    counter = flop_counter()
    with running_skeleton(), torch.no_grad(), counter:
        twin(blank_input(twin, shape))
    return counter.get_total_flops() // 2


def _unchanged(input: Tensor) -> Tensor:
    return input


def _count_with_fvcore(model: nn.Module, shape: tuple[int, ...]) -> int:
    twin = skeleton(model, device="cpu")  # it traces with torch.jit, which cannot on meta
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit announces its end
        from fvcore.nn import FlopCountAnalysis

        with running_skeleton(device="cpu"), torch.no_grad():
            analysis = FlopCountAnalysis(twin, blank_input(twin, shape, device="cpu"))
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            counts = analysis.by_operator()
    return int(sum(counts[name] for name in _FVCORE_OPERATORS))


def flop_counter() -> FlopCounterMode:
    """Torch's counter with a backward count that is right for grouped convolutions.

    It counts two per multiply-accumulate, as torch does.
    """
    return FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.convolution_backward: _convolution_backward_flops}
    )


def _convolution_backward_flops(
    grad_shape: list[int],
    input_shape: list[int],
    weight_shape: list[int],
    *settings: Any,
    **_: Any,
) -> int:
    """Two for each multiply-accumulate of `aten.convolution_backward`.

    The gradient of the input and the gradient of the weight each pair every weight with every position
    that it met in the forward pass, so each costs what the forward pass cost. `settings` are bias sizes,
    stride, padding, dilation, transposed, output padding, groups, output mask.
    """
    transposed, output_mask = settings[4], settings[7]
    positions = input_shape[2:] if transposed else grad_shape[2:]
    forward = grad_shape[0] * math.prod(positions) * math.prod(weight_shape)
    return 2 * forward * (bool(output_mask[0]) + bool(output_mask[1]))
