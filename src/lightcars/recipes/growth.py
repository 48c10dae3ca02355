"""Resolution of the training images in each epoch. No torch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final, overload


@final
@dataclass(frozen=True, slots=True)
class EpochResolutions(Sequence[int]):
    """Pixels of the training images' square in each epoch, computed on access: a run may have 10^9 epochs.

    The resolution rises linearly from `start` to `full`, which it has from epoch `full_epoch` on; before, it
    is rounded down to a multiple of `multiple_of`.

    >>> list(EpochResolutions(8, start=64, full=112, full_epoch=6, multiple_of=16))
    [64, 64, 80, 80, 96, 96, 112, 112]
    """

    epochs: int
    start: int
    full: int
    full_epoch: float = 0.0
    multiple_of: int = 1

    def __len__(self) -> int:
        return self.epochs

    @overload
    def __getitem__(self, key: int) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[int, ...]: ...
    def __getitem__(self, key: int | slice) -> int | tuple[int, ...]:
        if isinstance(key, slice):
            return tuple(self[epoch] for epoch in range(*key.indices(self.epochs)))
        epoch = range(self.epochs)[key]
        if epoch >= self.full_epoch:
            return self.full
        rise = (self.full - self.start) * epoch / self.full_epoch
        return int(self.start + rise) // self.multiple_of * self.multiple_of

    def changes(self) -> dict[int, int]:
        """First epoch, counted from 1, of each resolution -> the resolution."""
        found: dict[int, int] = {}
        epoch = 0
        while epoch < self.epochs:
            found[epoch + 1] = self[epoch]
            epoch = bisect_right(range(self.epochs), self[epoch], lo=epoch, key=self.__getitem__)
        return found
