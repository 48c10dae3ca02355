"""A sequence of blocks with gradient checkpointing, which can return intermediate maps."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from lightcars.compatibility import COMPILES_CHECKPOINTS


class _StatisticsKept(AbstractContextManager[None]):
    """Keep the running statistics of a block's batch norms while it is recomputed."""

    def __init__(self, block: nn.Module) -> None:
        self._block = block
        self._momenta: list[tuple[_BatchNorm, float | None]] = []

    def __enter__(self) -> None:
        norms = [module for module in self._block.modules() if isinstance(module, _BatchNorm)]
        self._momenta = [(norm, norm.momentum) for norm in norms if norm.training]
        for norm, _ in self._momenta:
            norm.momentum = 0.0

    def __exit__(self, *_: object) -> None:
        for norm, momentum in self._momenta:
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.sub_(1)


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _StatisticsKept(block)


@final
class BlockSequence(nn.Sequential):
    """`nn.Sequential`, with the same parameter names, gradient checkpointing and `collect`.

    `recompute = True` stores only the input of each block for the backward pass and runs the block again
    (gradient checkpointing): less memory, about a third more time. `collect` returns chosen maps.
    """

    recompute: bool = False

    def _run(self, block: nn.Module, x: Tensor) -> Tensor:
        y: Tensor
        if self.recompute and self.training and torch.is_grad_enabled():
            if torch.compiler.is_compiling():  # a compiled graph updates the statistics once anyway
                y = checkpoint(block, x, use_reentrant=False) if COMPILES_CHECKPOINTS else block(x)
            else:
                y = checkpoint(block, x, use_reentrant=False, context_fn=partial(_contexts, block))
        else:
            y = block(x)
        return y

    def forward(self, input: Tensor) -> Tensor:
        x = input
        for block in self:
            x = self._run(block, x)
        return x

    def collect(self, x: Tensor, positions: Iterable[int]) -> list[Tensor]:
        """Return the outputs of the blocks at `positions`, in ascending order, each (N, C, h, w)."""
        wanted = set(positions)
        maps = []
        for position, block in enumerate(self):
            x = self._run(block, x)
            if position in wanted:
                maps.append(x)
        return maps
