"""Activations that spare memory where no gradient needs their input."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn


@final
class SiLU(nn.SiLU):
    """x * sigmoid(x). Overwrites x where no gradient needs it; in training that would cost a copy."""

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, inplace=not input.requires_grad)
