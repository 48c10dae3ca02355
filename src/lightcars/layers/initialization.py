"""Initial weights: drawn once when a layer is made, and not at all on the meta device.

Convolutions have variance 2 / fan_out, where `fan_out` counts the output channels of one group, as in
EfficientNet's TensorFlow code; drawn uniformly, which is quicker than normally. Biases are zero, batch norms
the identity. Linear layers start as PyTorch's own, uniform in +-1/sqrt(in features): TensorFlow's
+-1/sqrt(out features) is fine for 1000 classes, but gives a loss of 18 at the start for eight.
"""

from __future__ import annotations

import math
from typing import final

from torch import Tensor, nn

from lightcars.layers.depthwise import depthwise_conv2d, has_slow_gradients


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` with this library's initial weights, and fast gradients where it is depthwise."""

    def reset_parameters(self) -> None:
        """Draws new weights."""
        fill_convolution(self, per_group=True)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.groups > 1 and has_slow_gradients(self, input):
            return depthwise_conv2d(input, weight, self.stride[0], int(self.padding[0]))
        y: Tensor = super()._conv_forward(input, weight, bias)
        return y


@final
class Linear(nn.Linear):
    """`nn.Linear` that draws nothing on the meta device."""

    def reset_parameters(self) -> None:
        """Draws new weights."""
        if not self.weight.is_meta:
            super().reset_parameters()


def fill_convolution(convolution: nn.Conv2d, *, per_group: bool) -> None:
    """New weights for one convolution.

    Args:
        convolution: changed in place.
        per_group: False counts the output channels of all groups, as `nn.init.kaiming_normal_` and the
            GhostNet thesis do, and draws normally, as they do.
    """
    if convolution.weight.is_meta:
        return
    fan_out = convolution.out_channels * math.prod(convolution.kernel_size)
    if per_group:
        bound = math.sqrt(3 * 2.0 / (fan_out // convolution.groups))
        nn.init.uniform_(convolution.weight, -bound, bound)
    else:
        nn.init.normal_(convolution.weight, 0.0, math.sqrt(2.0 / fan_out))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


def initialize(model: nn.Module, *, per_group: bool = True) -> None:
    """Fills every parameter and buffer of convolutions, batch norms and linear layers anew, in place.

    Args:
        model: changed in place.
        per_group: as for `fill_convolution`.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fill_convolution(module, per_group=per_group)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d | nn.Linear):
            module.reset_parameters()
