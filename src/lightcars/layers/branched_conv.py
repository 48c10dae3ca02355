"""Convolutions in parallel that are one convolution in inference (structural re-parameterization).

Sources: Ding et al., "RepVGG", arXiv 2101.03697; the branches are those of RepGhost (arXiv 2211.06088, figure
3) and of GhostNetV3 (arXiv 2404.11202, figure 2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightcars.layers.conv_act import ConvAct
from lightcars.layers.conv_norm_act import ConvNormAct, ConvStyle


@final
class BranchedConv(nn.Module):
    """Sum of convolutions of the same shape, each with its batch norm; then the activation.

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)) for odd kernels.

    Args:
        in_channels, out_channels: channels before and after.
        kernel_size: side of the square kernel.
        stride: of the convolutions.
        groups: `in_channels` for depthwise convolutions.
        style: activation, normalization and initial weights; the padding is symmetric.
        branches: number of equal convolutions.
        scale: whether a 1x1 convolution is added to a larger kernel.

    A larger kernel that keeps the shape has a batch norm of the input itself beside it, too.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        style: ConvStyle = ConvStyle(),
        branches: int = 3,
        scale: bool = True,
    ) -> None:
        super().__init__()
        linear = replace(style.linear(), padding="symmetric")

        def branch(side: int) -> ConvNormAct:
            return ConvNormAct(
                in_channels, out_channels, kernel_size=side, stride=stride, groups=groups, style=linear
            )

        self.convs = nn.ModuleList(branch(kernel_size) for _ in range(branches))
        self.scale = branch(1) if scale and kernel_size > 1 else None
        passes = kernel_size > 1 and stride == 1 and in_channels == out_channels
        self.skip = nn.BatchNorm2d(in_channels, eps=style.eps, momentum=style.momentum) if passes else None
        self.act = style.activation()
        self.reset_gains()

    def reset_gains(self) -> None:
        """Set the weights of the batch norms so that the sum has the variance of one branch."""
        norms = [unit.norm for unit in self._units()]
        norms += [] if self.skip is None else [self.skip]
        for norm in norms:
            nn.init.constant_(norm.weight, len(norms) ** -0.5)

    def _units(self) -> list[ConvNormAct]:
        """Return the branches with a convolution."""
        units = [*self.convs, *([] if self.scale is None else [self.scale])]
        return cast(list[ConvNormAct], units)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.convs[0](x)
        for conv in self.convs[1:]:
            y = y + conv(x)
        if self.scale is not None:
            y = y + self.scale(x)
        if self.skip is not None:
            y = y + self.skip(x)
        activated: Tensor = self.act(y)
        return activated

    @torch.no_grad()
    def merged(self) -> ConvAct:
        """Return one convolution that does the same in evaluation mode."""
        units = self._units()
        first = units[0].conv
        side = first.kernel_size[0]
        folded = [_folded(unit.conv.weight, unit.norm) for unit in units]
        if self.skip is not None:
            folded.append(_folded(_identity_kernel(first), self.skip))
        weight = torch.stack([_padded(kernel, side) for kernel, _ in folded]).sum(0)
        bias = torch.stack([bias for _, bias in folded]).sum(0)
        with torch.device("meta"):  # nothing is sampled
            single = merged_unit(
                first.in_channels,
                first.out_channels,
                kernel_size=side,
                stride=first.stride[0],
                groups=first.groups,
                style=ConvStyle(activation=lambda: self.act),
            )
        single.conv.weight, single.conv.bias = nn.Parameter(weight), nn.Parameter(bias)
        return single.train(self.training)


def merged_unit(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 1,
    stride: int = 1,
    groups: int = 1,
    style: ConvStyle = ConvStyle(),
) -> ConvAct:
    """Return the unit that a `BranchedConv` of the same arguments becomes, with weights of its own."""
    return ConvAct(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        groups=groups,
        style=style,
    )


def _folded(kernel: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return kernel and bias of a convolution with its batch norm."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    gain = norm.weight * torch.rsqrt(variance + norm.eps)
    return kernel * gain[:, None, None, None], norm.bias - mean * gain


def _padded(kernel: Tensor, side: int) -> Tensor:
    margin = (side - kernel.shape[-1]) // 2
    return F.pad(kernel, (margin, margin, margin, margin))


def _identity_kernel(conv: nn.Conv2d) -> Tensor:
    """Return the kernel of a convolution of this shape that returns its input."""
    kernel = torch.zeros_like(conv.weight)
    per_group = conv.in_channels // conv.groups
    channels = torch.arange(conv.in_channels, device=kernel.device)
    kernel[channels, channels % per_group, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = 1
    return kernel
