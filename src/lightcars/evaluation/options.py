"""How images are to be classified, apart from the weights."""

from __future__ import annotations

from dataclasses import dataclass

from lightcars.data.car_names import LEVELS, Level
from lightcars.models.validation import require_one_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """How images are to be classified.

    Attributes:
        level: of the names: "make", "model" (with the make) or "full".
        cut: True for images that are cut to their car already; False to find the car first; None finds it
            for weights that were trained on cut images of cars (`TrainedModel.expects_cut_cars`).
        all_cars: whether each car is classified that is found, not the largest one alone.
    """

    level: Level = "full"
    cut: bool | None = None
    all_cars: bool = False

    def __post_init__(self) -> None:
        require_one_of("level", self.level, LEVELS)
