"""How many parameters a model has."""

from __future__ import annotations

from torch import nn
from torch.nn.parameter import is_lazy

from lightcars.errors import CountingError


def count_params(model: nn.Module, trainable_only: bool = False) -> int:
    """Number of parameter elements; one that several modules share counts once, buffers do not count.

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
    return total
