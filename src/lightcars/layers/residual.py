"""Interface of residual blocks, for code that changes a model's structure without knowing its block
classes."""

from __future__ import annotations

from typing import Protocol, TypeGuard

from torch import nn


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


def is_residual(module: nn.Module) -> TypeGuard[Residual]:
    """Return whether a module has branch and shortcut; `isinstance` of Python 3.12 finds no submodules."""
    return hasattr(module, "branch") and hasattr(module, "shortcut")
