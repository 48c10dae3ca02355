"""Count the multiply-accumulates of a model, which both papers, both theses and fvcore call FLOPs.

Counted are convolutions, linear layers, other matrix products, attention and distances; not normalization,
activations, pooling, interpolation and elementwise products, which all sources leave out too.
"""

from __future__ import annotations

import warnings
from typing import Literal

import torch
from torch import Tensor, nn

from lightcars.counters.counter import MacCounter
from lightcars.counters.inputs import Inputs, InputSize, ModelInputs, read_inputs
from lightcars.counters.skeleton import running_skeleton, skeleton
from lightcars.errors import InputError

Engine = Literal["torch", "fvcore"]

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_FVCORE_OPERATORS = ("conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum")


def count_flops(
    model: nn.Module, input_size: InputSize = None, *, inputs: Inputs = None, engine: Engine = "torch"
) -> int:
    """Return the multiply-accumulates of one forward pass in evaluation mode, exactly.

    The model is not run: a copy without weights is, on torch's meta device. So it costs little memory,
    works for a model on any device, and leaves the model, its mode, hooks and buffers and the random
    state unchanged. A compiled or parallel model is unwrapped.

    Args:
        model: any module.
        input_size: size of the image of a model that takes one: an int (square), (H, W) or (N, C, H, W);
            None is the model's own resolution, which models of other libraries do not have.
        inputs: instead of `input_size`, the inputs of any other model. A tensor, or the shape of a
            floating-point one; a tuple of them for several arguments, a dict for keyword arguments. A list of
            them is one argument, a list of tensors. The values of tensors are not read.
        engine: "torch" counts operators as torch runs them, "fvcore" with `FlopCountAnalysis` (slower, and of
            fewer operators; on convolutions and linear layers they agree to the digit).

    Raises:
        InputError: inputs that are missing or invalid.
        CountingError: the model cannot be run on shapes alone, or not with these inputs.

    Warns:
        CountingWarning: an operator multiplies, or may, and has no count (engine "torch").

    >>> from lightcars import efficientnet
    >>> count_flops(efficientnet("b0"))
    385814752
    >>> count_flops(nn.LSTM(10, 20), inputs=(7, 3, 10))
    50400
    """
    given = read_inputs(model, input_size, inputs)
    if engine == "torch":
        return _count_with_torch(model, given)
    if engine == "fvcore":
        return _count_with_fvcore(model, given)
    raise InputError(f"engine must be 'torch' or 'fvcore', not {engine!r}.")


def _count_with_torch(model: nn.Module, given: ModelInputs) -> int:
    copied = skeleton(model)
    for module in copied.modules():
        if type(module) in _BATCH_NORMS:  # nothing to count, yet half of the time on meta
            module.forward = _unchanged
    counter = MacCounter()
    with running_skeleton(copied), torch.no_grad():
        blank = given.blank(copied)
        with counter:
            copied(*blank.args, **blank.kwargs)
    counter.warn(copied, stacklevel=3)
    return counter.total


def _unchanged(input: Tensor) -> Tensor:
    return input


def _count_with_fvcore(model: nn.Module, given: ModelInputs) -> int:
    if given.kwargs:
        raise InputError("engine='fvcore' takes positional inputs only; give inputs as a tuple.")
    copied = skeleton(model, device="cpu")  # it traces with torch.jit, which cannot on meta
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit announces its end
        from fvcore.nn import FlopCountAnalysis

        with running_skeleton(copied, device="cpu"), torch.no_grad():
            analysis = FlopCountAnalysis(copied, given.blank(copied, device="cpu").args)
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            counts = analysis.by_operator()
    return int(sum(counts[name] for name in _FVCORE_OPERATORS))
