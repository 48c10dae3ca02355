"""The second `lightcars predict` of the same weights starts without torch: the first prepares an engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightcars.cli.output import complain
from lightcars.evaluation.cached.entries import SWITCH, Place, place_of
from lightcars.memory_limits import free_bytes

if TYPE_CHECKING:
    from lightcars.evaluation.guesses import Prediction

NEEDED_BYTES = 2**31
"""Of memory for a conversion."""
NOTE = (
    "note: preparing these weights once, so that later runs of `lightcars predict` start without PyTorch;"
    " Ctrl-C"
    f" skips it, {SWITCH}=0 turns it off"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the cache has for some images.

    Attributes:
        predictions: None if PyTorch has to predict.
        to_prepare: where an engine is missing; None if nothing can be prepared.
    """

    predictions: list[Prediction] | None = None
    to_prepare: Place | None = None


def find_answer(
    run: str,
    paths: list[Path],
    *,
    top: int,
    device: str | None,
    level: str = "full",
    cut: bool | None = None,
    all_cars: bool = False,
) -> Answer:
    """Predict with the prepared engine of the weights, if there is one that works; imports no torch.

    Levels and several cars are left to PyTorch.
    """
    if level != "full" or all_cars:
        return Answer()
    if os.environ.get(SWITCH) == "0" or device not in (None, "cpu"):
        return Answer()
    place = place_of(run)
    if place is None:
        return Answer()
    entry = place.find()
    if entry is None:
        return Answer(to_prepare=place)
    from lightcars.evaluation.cached.predictor import is_prepared, predict_cached

    if not is_prepared(entry.record) or (cut is False and not entry.record.get("expects_cut_cars")):
        return Answer()
    return Answer(predict_cached(entry, paths, top, cut=cut is True))


def prepare_next(place: Place, run: str) -> None:
    """Prepare an engine after the answer was printed, where packages, memory and disk allow it."""
    import torch

    from lightcars.deploy.runners import ENGINES

    missing = None in ENGINES["onnxruntime"].versions
    if missing or torch.cuda.is_available() or not place.can_store() or free_bytes() < NEEDED_BYTES:
        return
    complain(NOTE)
    from lightcars.evaluation.cached.preparation import prepare

    try:
        prepare(place, run)
    except KeyboardInterrupt:  # the answer was given
        complain("stopped; the next `lightcars predict` starts with PyTorch again")
    except Exception as error:  # nor does an error change the command's result
        complain(f"note: these weights could not be prepared ({error})")
