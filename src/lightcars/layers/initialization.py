"""Initial weights. Applied once to a finished model, whatever its modules drew when they were made."""

from __future__ import annotations

import math

from torch import nn


def initialize(model: nn.Module, *, per_group: bool = True) -> None:
    """Fills every parameter and buffer of convolutions, batch norms and linear layers, in place.

    Convolutions are normal with variance 2 / fan_out, as EfficientNet's TensorFlow code has it: there
    `fan_out` counts the output channels of one group. Linear weights are uniform in +-1/sqrt(out
    features), biases zero, batch norms the identity.

    Args:
        model: changed in place.
        per_group: False counts the output channels of all groups, as `nn.init.kaiming_normal_` and the
            GhostNet thesis do; its linear layers keep PyTorch's own start.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            fan_out //= module.groups if per_group else 1
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            if per_group:
                bound = 1.0 / math.sqrt(max(module.out_features, 1))
                nn.init.uniform_(module.weight, -bound, bound)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            else:
                module.reset_parameters()
