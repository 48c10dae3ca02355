"""What the configs of all families have in common. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ModelConfig(Protocol):
    """The settings that the rest of the library reads, whatever the family."""

    @property
    def resolution(self) -> int:
        """Pixels of the square input that the model is meant for."""

    @property
    def num_classes(self) -> int:
        """Outputs; 0 for no classifier."""

    @property
    def img_channels(self) -> int:
        """Channels of the input."""

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""

    @property
    def feature_channels(self) -> int:
        """Channels of the last map."""

    @property
    def block_channels(self) -> Sequence[int]:
        """Output channels of every block."""

    @property
    def block_strides(self) -> Sequence[int]:
        """Stride of every block."""
