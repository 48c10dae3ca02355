"""Number of parameters of a model."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lightcars.errors import CountingError


def count_params(model: nn.Module, trainable_only: bool = False) -> int:
    """Return the number of parameter elements; shared parameters count once, buffers are not counted.

    Weights and biases that `torch.ao.quantization` has packed into quantized modules are counted, as not
    trainable. A parameter that is sharded over devices (DTensor) counts whole.

    Args:
        model: any module, on any device.
        trainable_only: leave out parameters with `requires_grad=False`.

    Raises:
        CountingError: a lazy parameter has no shape yet.

    >>> from lightcars import ghostnet
    >>> count_params(ghostnet())
    5182508
    """
    total = 0
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            raise CountingError(f"{name} has no shape yet (a lazy module); run one batch through the model.")
        if parameter.requires_grad or not trainable_only:
            total += parameter.numel()
    if trainable_only:
        return total
    return total + sum(tensor.numel() for module in model.modules() for tensor in _packed(module))


def _packed(module: nn.Module) -> Iterator[Tensor]:
    """Yield the weights and biases that a quantized module holds in packed form, not as parameters."""
    if isinstance(vars(module).get("_packed_params"), torch.ScriptObject):  # convolutions, linear layers
        yield from (tensor for tensor in module._weight_bias() if tensor is not None)  # type: ignore[operator]
    elif isinstance(vars(module).get("_packed_weight"), torch.ScriptObject):  # embeddings
        yield module._weight()  # type: ignore[operator]
    elif hasattr(module, "get_weight") and hasattr(module, "get_bias"):  # recurrent layers and their cells
        yield from (*module.get_weight().values(), *module.get_bias().values())  # type: ignore[operator]
