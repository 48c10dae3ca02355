"""Stochastic depth (Huang et al., arXiv 1603.09382), per sample."""

from __future__ import annotations

from typing import final

import torch.fx
from torch import Tensor, nn


def drop_path(x: Tensor, probability: float, training: bool) -> Tensor:
    """Return x with whole samples set to zero in training, and x itself in evaluation mode. (N, ...)."""
    if not training or probability == 0.0:
        return x
    keep = 1.0 - probability
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    return x * x.new_empty(shape).bernoulli_(keep).div_(keep)


torch.fx.wrap("drop_path")  # one node in both modes, as feature extractors expect


@final
class DropPath(nn.Module):
    """Drop whole samples of a residual branch in training. (N, ...) -> the same.

    Kept samples are divided by the probability of keeping them, so that the expectation stays; in evaluation
    mode the input passes unchanged.

    Args:
        probability: of dropping a sample, in [0, 1).
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        return drop_path(x, self.probability, self.training)

    def extra_repr(self) -> str:
        return f"probability={self.probability}"
