"""Layers of a fused model: fewer operators, the same function, no training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import torch
from torch import Tensor, nn

from lightcars.layers.conv_norm_act import pad_same
from lightcars.layers.eager import activate, is_eager


@final
class FusedConv(nn.Module):
    """Convolution with bias, and activation. (N, in_channels, H, W) -> (N, out_channels, h, w).

    Args:
        conv: with a bias.
        act: None for none.
        pads_same: whether the input is padded as TensorFlow's SAME does.
    """

    def __init__(self, conv: nn.Conv2d, act: nn.Module | None, *, pads_same: bool = False) -> None:
        super().__init__()
        self.conv = conv
        self.act = act
        self.pads_same = pads_same

    def forward(self, x: Tensor) -> Tensor:
        if self.pads_same:
            x = pad_same(x, self.conv.kernel_size[0], self.conv.stride[0])
        y: Tensor = self.conv(x)
        return y if self.act is None else activate(self.act, y, made_by=self.conv)


@final
class FusedSqueezeExcite(nn.Module):
    """Squeeze-and-excitation by linear layers. (N, C, H, W) -> the same, written over the input.

    Args:
        reduce, expand: C -> hidden width -> C.
        act, gate: after each of them.
    """

    def __init__(self, reduce: nn.Linear, expand: nn.Linear, *, act: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.reduce, self.expand = reduce, expand
        self.act, self.gate = act, gate

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = self.gate(self.expand(self.act(self.reduce(x.mean((2, 3))))))
        scale = scale[:, :, None, None]
        return x.mul_(scale) if is_eager(x) and not x.requires_grad else x * scale


@final
class FusedGhost(nn.Module):
    """GhostModule: base maps and their "ghosts", concatenated. (N, C, H, W) -> (N, out_channels, h, w).

    Args:
        primary, cheap: make the base maps, and the ghosts from these.
        out_channels: ghosts beyond it are cut off before they are copied.
    """

    def __init__(self, primary: FusedConv, cheap: FusedConv, *, out_channels: int) -> None:
        super().__init__()
        self.primary, self.cheap = primary, cheap
        self.ghosts = out_channels - primary.conv.out_channels

    def forward(self, x: Tensor) -> Tensor:
        base = self.primary(x)
        return torch.cat((base, self.cheap(base)[:, : self.ghosts]), dim=1)


@final
class FusedBlock(nn.Module):
    """A block: its branch, and the shortcut that is added to it.

    Args:
        branch: in the order in which data flows.
        residual: whether something is added.
        shortcut: between the input and the sum; None for the input itself.
    """

    def __init__(
        self, branch: Iterable[nn.Module], *, residual: bool, shortcut: nn.Sequential | None = None
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)
        self.shortcut = shortcut
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x)
        if self.residual:
            y += x if self.shortcut is None else self.shortcut(x)
        return y
