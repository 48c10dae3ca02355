"""Initial weights. Applied once to a finished model, whatever its modules drew when they were made."""

from __future__ import annotations

import math

from torch import nn


def initialize(model: nn.Module, *, per_group: bool = True) -> None:
    """Fills every parameter and buffer of convolutions, batch norms and linear layers, in place.

    Convolutions are normal with variance 2 / fan_out, as EfficientNet's TensorFlow code has it: there
    `fan_out` counts the output channels of one group. Batch norms are the identity. Linear layers start as
    PyTorch's own, uniform in +-1/sqrt(in features): TensorFlow's +-1/sqrt(out features) is fine for 1000
    classes, but gives a loss of 18 at the start for eight.

    Args:
        model: changed in place.
        per_group: False counts the output channels of all groups, as `nn.init.kaiming_normal_` and the
            GhostNet thesis do.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            fan_out //= module.groups if per_group else 1
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d | nn.Linear):
            module.reset_parameters()
