"""What the layers become in a fused model: fewer operators, the same function, no training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightcars.layers import SameConv2d
from lightcars.layers.activation import SiLU
from lightcars.layers.conv_norm_act import same_padding

Kernel: TypeAlias = Callable[[Tensor], Tensor]
Pads: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""Pixels of padding (before, after) the height and the width."""
Geometry: TypeAlias = tuple[list[int], list[int], list[int], int]
"""Padding, stride, dilation, groups."""

# The operators that torch.compile lowers convolutions to on a CPU. They have no gradient and are not public,
# so everything works without them too.
_OPERATORS = (
    "_convolution_pointwise",
    "_linear_pointwise",
    "_reorder_convolution_weight",
    "_reorder_linear_weight",
)
ONEDNN = torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS)
_POST_OPS: dict[type, str] = {type(None): "none", nn.ReLU: "relu", SiLU: "swish"}


class _Prepared(dict[Pads, Kernel | None]):
    """oneDNN's operators by padding, with weights in its own layout; copies and pickles start empty."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Prepared, ()


@final
class FusedConv(nn.Module):
    """Convolution with bias, and activation. (N, in_channels, H, W) -> (N, out_channels, h, w).

    On a CPU in float32 it is one operator of oneDNN whose weights were brought into oneDNN's layout at the
    first call. Elsewhere, with gradients, and for torch.export, torch.compile and ONNX it is PyTorch's.

    Args:
        conv: with a bias; symmetric padding or TensorFlow's SAME.
        act: None for none.
    """

    def __init__(self, conv: nn.Conv2d, act: nn.Module | None) -> None:
        super().__init__()
        self.conv = conv
        self.act = act
        self._same = isinstance(conv, SameConv2d)
        height, width = (0, 0) if self._same else (int(conv.padding[0]), int(conv.padding[1]))
        self._pads: Pads = ((height, height), (width, width))
        self._prepared = _Prepared()

    def forward(self, x: Tensor) -> Tensor:
        if (
            not torch.compiler.is_compiling()
            and x.is_cpu
            and x.dtype == torch.float32
            and not x.requires_grad
        ):
            kernel = self._kernel(x)
            if kernel is not None:
                return kernel(x)
        y: Tensor = self.conv(x)
        return y if self.act is None else self.act(y)

    def _kernel(self, x: Tensor) -> Kernel | None:
        if x.dtype != torch.float32 or torch._C._get_tracing_state() is not None:
            return None
        pads = _same_pads(self.conv, x) if self._same else self._pads
        if pads not in self._prepared:
            self._prepared[pads] = _prepare(self.conv, _POST_OPS.get(type(self.act)), pads)
        return self._prepared[pads]

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self._prepared.clear()  # to another device or precision
        return super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._prepared.clear()
        super()._load_from_state_dict(*args, **kwargs)


def _same_pads(conv: nn.Conv2d, x: Tensor) -> Pads:
    height, width = (same_padding(x.shape[i - 2], conv.kernel_size[i], conv.stride[i]) for i in (0, 1))
    return height, width


def _prepare(conv: nn.Conv2d, post_op: str | None, pads: Pads) -> Kernel | None:
    """The operator for inputs that need this padding; None if oneDNN cannot."""
    weight, bias = conv.weight.detach(), conv.bias
    if not ONEDNN or post_op is None or not weight.is_cpu or weight.dtype != torch.float32:
        return None
    if conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.groups == 1:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.flatten(1).contiguous())
        return partial(_pointwise, packed, bias, post_op)
    # oneDNN pads both ends alike: what SAME has less before than after, the kernel gets as zeros.
    (top, bottom), (left, right) = pads
    weight = F.pad(weight, (right - left, 0, bottom - top, 0))
    geometry: Geometry = ([bottom, right], list(conv.stride), list(conv.dilation), conv.groups)
    packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, None)
    return partial(_convolution, packed, bias, geometry, post_op)


def _pointwise(weight: Tensor, bias: Tensor | None, post_op: str, x: Tensor) -> Tensor:
    """A 1x1 convolution as a linear layer over the pixels, which has less overhead."""
    pixels = x.permute(0, 2, 3, 1)
    y: Tensor = torch.ops.mkldnn._linear_pointwise.default(pixels, weight, bias, post_op, [], "")
    return y.permute(0, 3, 1, 2)


def _convolution(weight: Tensor, bias: Tensor | None, geometry: Geometry, post_op: str, x: Tensor) -> Tensor:
    """Takes any layout, returns channels_last."""
    y: Tensor = torch.ops.mkldnn._convolution_pointwise.default(x, weight, bias, *geometry, post_op, [], "")
    return y


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
        return x * scale if x.requires_grad else x.mul_(scale)


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
        self._ghosts = out_channels - primary.conv.out_channels
        self._has_surplus = self._ghosts < cheap.conv.out_channels

    def forward(self, x: Tensor) -> Tensor:
        base = self.primary(x)
        ghosts = self.cheap(base)
        return torch.cat((base, ghosts[:, : self._ghosts] if self._has_surplus else ghosts), dim=1)


@final
class FusedBlock(nn.Module):
    """A block of either family: a branch, of which no part is left empty, and what is added to it.

    Args:
        branch: in the order in which data flows.
        residual: whether something is added.
        shortcut: between the input and the sum; None for the input itself.
    """

    def __init__(
        self, branch: Iterable[nn.Module], *, residual: bool, shortcut: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)
        self.shortcut = shortcut
        self._residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x)
        if self._residual:
            y += x if self.shortcut is None else self.shortcut(x)
        return y
