"""Initial weights, sampled once when a layer is built; layers on the meta device stay empty.

The layers are torch's own classes, not subclasses: what a model's tree holds is what quantizers, counters and
pruning look for. Biases are zero and batch norms the identity. Linear layers start as PyTorch's own, uniform
in +-1/sqrt(in features): TensorFlow's +-1/sqrt(out features) is fine for 1000 classes, but gives an initial
loss of 18 for eight.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from torch import nn

InitialWeights: TypeAlias = Callable[[nn.Conv2d], None]
"""Fills the weight of a convolution, in place."""


def fan_out(conv: nn.Conv2d) -> None:
    """Sample weights of variance 2 / fan-out, counting the output channels of one group.

    As in EfficientNet's TensorFlow code, but uniform, which is faster than normal.
    """
    _uniform(conv, variance=2.0 / (conv.out_channels // conv.groups * math.prod(conv.kernel_size)))


def fan_in(conv: nn.Conv2d) -> None:
    """Sample weights of variance 1 / fan-in, which keeps the variance of the map (LeCun's rule), uniform."""
    _uniform(conv, variance=1.0 / (conv.in_channels // conv.groups * math.prod(conv.kernel_size)))


def relu_fan_in(conv: nn.Conv2d) -> None:
    """Sample weights of variance 2 / fan-in, which keeps the scale of a map before a ReLU (He's), uniform."""
    _uniform(conv, variance=2.0 / (conv.in_channels // conv.groups * math.prod(conv.kernel_size)))


def hardswish_fan_in(conv: nn.Conv2d) -> None:
    """Sample weights of variance 1.85 / fan-in, uniform.

    Between that of a linear layer and He's: for networks of hardswish and ReLU it keeps maps of a few and of
    many blocks in the same order (docs/decisions/0037-mobilenets.md).
    """
    _uniform(conv, variance=1.85 / (conv.in_channels // conv.groups * math.prod(conv.kernel_size)))


def kaiming_fan_out(conv: nn.Conv2d) -> None:
    """Sample as `nn.init.kaiming_normal_(mode="fan_out")` does: all groups' output channels count, normal."""
    deviation = math.sqrt(2.0 / (conv.out_channels * math.prod(conv.kernel_size)))
    nn.init.normal_(conv.weight, 0.0, deviation)


def linear_depthwise(conv: nn.Conv2d) -> None:
    """Sample weights that keep the scale of a map where all but depthwise convolutions precede a ReLU."""
    (fan_in if conv.groups == conv.in_channels > 1 else relu_fan_in)(conv)


def _uniform(conv: nn.Conv2d, *, variance: float) -> None:
    bound = math.sqrt(3 * variance)
    nn.init.uniform_(conv.weight, -bound, bound)


@runtime_checkable
class HasGains(Protocol):
    """A block whose batch norms do not start as the identity."""

    def reset_gains(self) -> None:
        """Set the initial weights of its batch norms."""


def conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int | tuple[int, int] = 1,
    *,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    groups: int = 1,
    bias: bool = True,
    initial: InitialWeights = fan_out,
) -> nn.Conv2d:
    """Return an `nn.Conv2d` with initial weights of this library.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, groups, bias: as for `nn.Conv2d`.
        initial: how the weight is sampled.
    """
    conv: nn.Conv2d = _EmptyConv2d(
        in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias
    )
    conv.__class__ = nn.Conv2d
    fill_convolution(conv, initial)
    return conv


def linear(in_features: int, out_features: int, *, bias: bool = True) -> nn.Linear:
    """Return an `nn.Linear` with PyTorch's initial weights; on the meta device nothing is sampled."""
    layer: nn.Linear = _EmptyLinear(in_features, out_features, bias=bias)
    layer.__class__ = nn.Linear
    _fill_linear(layer)
    return layer


class _EmptyConv2d(nn.Conv2d):
    """Leaves out torch's own initial weights while `conv2d` builds a layer; never part of a model."""

    def reset_parameters(self) -> None:
        """Leave the weights uninitialized."""


class _EmptyLinear(nn.Linear):
    """The same for `linear`."""

    def reset_parameters(self) -> None:
        """Leave the weights uninitialized."""


def fill_convolution(conv: nn.Conv2d, initial: InitialWeights) -> None:
    """Reinitialize one convolution in place, unless it is on the meta device.

    There, sampling would do nothing but import a thousand modules.
    """
    if conv.weight.is_meta:
        return
    initial(conv)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def _fill_linear(layer: nn.Linear) -> None:
    if not layer.weight.is_meta:
        layer.reset_parameters()


def initialize(module: nn.Module, *, initial: InitialWeights = fan_out) -> None:
    """Reinitialize every convolution, batch norm and linear layer of a module, in place.

    Args:
        module: changed in place.
        initial: how the weights of convolutions are sampled.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fill_convolution(layer, initial)
        elif isinstance(layer, nn.Linear):
            _fill_linear(layer)
        elif isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            layer.reset_parameters()
    for layer in module.modules():
        if isinstance(layer, HasGains):
            layer.reset_gains()
