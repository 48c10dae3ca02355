"""What a block says of itself, so that its structure can be changed by code that does not know its class."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Residual(Protocol):
    """A block that computes its branch, one layer after the other, and adds its shortcut.

    Stochastic depth, which does nothing in evaluation, is left out.
    """

    @property
    def branch(self) -> tuple[nn.Module, ...]:
        """Layers in the order in which data flows; identities where a block has none."""

    @property
    def shortcut(self) -> nn.Module | None:
        """From the block's input to what is added: the identity for the input itself, None for nothing."""
