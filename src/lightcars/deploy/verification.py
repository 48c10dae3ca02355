"""Whether an engine answers as the model does."""

from __future__ import annotations

from dataclasses import dataclass

from lightcars.deploy.engines import Engine
from lightcars.deploy.measuring import Check
from lightcars.deploy.quantize import top1_change
from lightcars.deploy.runners import Precision
from lightcars.deploy.source import Source


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        difference: of its logits from the model's at most, as a part of the largest logit.
        top1_change_percent: of int8: points of top-1 more than the model's on the judged photographs.
        problem: why its answers cannot be taken for the model's; None if they can.
    """

    difference: float
    top1_change_percent: float | None
    problem: str | None


def judge(engine: Engine, precision: Precision, source: Source, check: Check) -> Verification:
    """Compares: int8 by top-1 on photographs, other precisions by their logits for made images."""
    difference = check.difference(engine)
    if precision != "int8":
        return Verification(difference, None, check.problem(engine, precision, difference))
    assert source.calibration is not None
    change, allowed = top1_change(engine, source), source.calibration.max_loss_percent
    if change >= -allowed:
        return Verification(difference, change, None)
    lost = (
        f"it loses {-change:.2g} points of top-1 on {len(source.targets)} photographs, allowed is {allowed:g}"
    )
    return Verification(difference, change, lost)
