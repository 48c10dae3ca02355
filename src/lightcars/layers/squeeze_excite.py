"""Squeeze-and-excitation (Hu et al., arXiv 1709.01507, section 3), in the two published forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, final

import torch
from torch import Tensor, nn

from lightcars.layers.gradients import spatial_mean
from lightcars.layers.initialization import InitialWeights, conv2d, fan_out, linear


@final
class ClampGate(nn.Module):
    """clamp(x, 0, 1): the gate of the first GhostNet release, which the 2020 thesis used."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp(x, 0, 1)


@final
class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from the means of all channels. (N, C, H, W) -> the same.

    Args:
        channels: C.
        reduction: the hidden width is max(1, channels // reduction), unless `reduced_channels` gives it.
        reduced_channels: the hidden width itself.
        form: "conv" computes the gate by 1x1 convolutions, "linear" by linear layers. The arithmetic is
            the same; the shapes of the weights in a checkpoint are not.
        activation: makes the hidden activation.
        gate: makes the module whose outputs scale the channels.
        initial: samples the initial weights of the convolutions.
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 4,
        reduced_channels: int | None = None,
        form: Literal["conv", "linear"] = "conv",
        activation: Callable[[], nn.Module] = nn.ReLU,
        gate: Callable[[], nn.Module] = nn.Sigmoid,
        initial: InitialWeights = fan_out,
    ) -> None:
        super().__init__()
        reduced = max(1, channels // reduction) if reduced_channels is None else reduced_channels
        self.reduce: nn.Conv2d | nn.Linear
        self.expand: nn.Conv2d | nn.Linear
        if form == "conv":
            self.reduce = conv2d(channels, reduced, initial=initial)
            self.expand = conv2d(reduced, channels, initial=initial)
        else:
            self.reduce, self.expand = linear(channels, reduced), linear(reduced, channels)
        self._keepdim = form == "conv"
        self.act = activation()
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        means = spatial_mean(x, keepdim=self._keepdim)
        scale: Tensor = self.gate(self.expand(self.act(self.reduce(means))))
        scale = scale if self._keepdim else scale[:, :, None, None]
        return x * scale
