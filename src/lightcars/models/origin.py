"""Where a model's weights came from, and what became of them. No torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsOrigin:
    """What loading weights into a model did.

    Attributes:
        weights: the tag, address or path that they came from.
        source: whose names the tensors had.
        kept: tensors taken as they were.
        adapted: names of those that were fitted to another number of image channels.
        initialized: names of those that were drawn anew, because the model was to end otherwise.
        guess: what had to be assumed, if anything.
        license: of the weights, as their source states it; None if it is not known.
    """

    weights: str
    source: str
    kept: int
    adapted: tuple[str, ...] = ()
    initialized: tuple[str, ...] = ()
    guess: str | None = None
    license: str | None = None

    def __str__(self) -> str:
        parts = [f"{self.kept} tensors kept"]
        if self.adapted:
            parts.append(f"adapted: {', '.join(self.adapted)}")
        if self.initialized:
            parts.append(f"drawn anew: {', '.join(self.initialized)}")
        if self.guess:
            parts.append(f"assumed: {self.guess}")
        return f"weights {self.weights} ({self.source}): {'; '.join(parts)}"
