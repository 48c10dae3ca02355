"""Origin of a model's weights, and what loading changed. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from lightcars.renamed import takes_old_names


@takes_old_names(licence="license")
@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsOrigin:
    """Result of loading weights into a model.

    Attributes:
        weights: the tag, address or path that they came from.
        source: whose names the tensors had.
        kept: tensors taken as they were.
        adapted: names of those adapted to another number of image channels.
        initialized: names of those that were reinitialized because the model ends differently.
        guess: what had to be assumed, if anything.
        ignored: names in the file of tensors that this library has no place for.
        license: of the weights, as their source states it; None if unknown.
    """

    weights: str
    source: str
    kept: int
    adapted: tuple[str, ...] = ()
    initialized: tuple[str, ...] = ()
    guess: str | None = None
    ignored: tuple[str, ...] = ()
    license: str | None = None

    def __str__(self) -> str:
        parts = [f"{self.kept} tensors kept"]
        if self.adapted:
            parts.append(f"adapted: {', '.join(self.adapted)}")
        if self.initialized:
            parts.append(f"reinitialized: {', '.join(self.initialized)}")
        if self.ignored:
            parts.append(f"ignored: {', '.join(self.ignored)}")
        if self.guess:
            parts.append(f"assumed: {self.guess}")
        return f"weights {self.weights} ({self.source}): {'; '.join(parts)}"
