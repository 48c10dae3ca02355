"""Loss and accuracy over an epoch, of all photographs on all devices."""

from __future__ import annotations

from typing import final

import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor


@final
class EpochMetrics:
    """Sums over photographs, which the devices add up once, at the end of the epoch.

    So each photograph counts the same, however uneven the batches and the devices' parts are; a mean of
    means would weigh them by their batches. A device without any photograph takes part too.
    """

    def __init__(self, *tops: int) -> None:
        """`tops`: a photograph is right if its class is among so many likeliest ones."""
        self.tops = tops
        self._sums: Tensor | None = None

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """One batch: its mean loss, (N, classes) logits, (N,) labels."""
        number = torch.full_like(loss.detach(), len(labels), dtype=torch.float32)
        sums = torch.stack([loss.detach() * number, *(self._right(logits, labels)), number])
        self._sums = sums if self._sums is None else self._sums + sums

    def _right(self, logits: Tensor, labels: Tensor) -> list[Tensor]:
        ranked = (logits.topk(min(top, logits.shape[1]), dim=1).indices for top in self.tops)
        return [(best == labels[:, None]).any(dim=1).sum().float() for best in ranked]

    def take(self, strategy: Strategy) -> list[Tensor]:
        """Mean loss and percentages right of every device's photographs; it begins anew then."""
        sums = self._sums
        if sums is None:
            sums = torch.zeros(len(self.tops) + 2, device=strategy.root_device)
        self._sums = None
        loss, *right, number = strategy.reduce(sums, reduce_op="sum")
        return [loss / number, *(count / number * 100 for count in right)]
