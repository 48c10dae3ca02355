"""Base class of blocks that need no description beyond their forward pass."""

from __future__ import annotations

from torch import nn


class Composite(nn.Module):
    """A block whose `forward` only calls its children, each with one map, and combines what they return.

    Code that replaces layers by equivalent ones (`fuse` folds batch norms) may replace its children, in place
    or in a copy, and keep the forward pass. So a subclass holds no tensors, reads no attribute of a child,
    and has several children under one name only in a `nn.ModuleList`.
    """
