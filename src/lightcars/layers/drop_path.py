"""Stochastic depth (Huang et al., arXiv 1603.09382), per sample."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn


@final
class DropPath(nn.Module):
    """Drops whole samples of a residual branch while training. (N, ...) -> the same.

    Kept samples are divided by the probability of keeping them, so that the expectation stays; in
    evaluation the input passes unchanged.

    Args:
        probability: of dropping a sample, in [0, 1).
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.probability == 0.0:
            return x
        keep = 1.0 - self.probability
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * x.new_empty(shape).bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        return f"probability={self.probability}"
