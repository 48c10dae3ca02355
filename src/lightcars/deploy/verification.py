"""Verify that an engine's outputs match the model's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lightcars.deploy.packages import InferenceFunction
from lightcars.deploy.quantize import top1_change
from lightcars.deploy.reference import EagerError, Reference
from lightcars.deploy.runners import EnginePrecision, Precision
from lightcars.deploy.source import Source

TOLERANCES: Mapping[Precision, float] = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 2e-2}
"""Largest allowed difference from eager logits, as a fraction of the largest logit."""
TRAINED_LIMITS: Mapping[Precision, float] = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 5e-2}
"""An engine of a trained model may differ by as much as eager PyTorch itself, up to this."""
UNTRAINED_FACTORS: Mapping[Precision, float] = {"fp32": 10.0, "fp16": 2.0, "bf16": 2.0}
"""An engine of an untrained model may differ by this multiple of eager PyTorch's own error. In fp32 engines
use algorithms of their own, in fp16 and bf16 the rounding of every layer prevails."""
UNTRAINED_LIMIT = 0.9
"""Never more than that: logits that are all 0 differ by 1."""
TIE = 2**-8
"""Fraction of the largest logit, the precision of bfloat16: classes nearer than that count as equal, as do in
bf16 those that are nearer than eager PyTorch's own error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Result of comparing an engine with the model.

    Attributes:
        difference: largest difference of its logits, as a fraction of the largest logit.
        eager_error: the same of eager PyTorch in that precision; None for int8.
        limit: what `difference` may be; None for int8.
        top1_change_percent: for int8: its top-1 minus the model's on the verification images.
        problem: why its outputs do not match; None if they do.
    """

    difference: float
    eager_error: EagerError | None = None
    limit: float | None = None
    top1_change_percent: float | None = None
    problem: str | None = None


def verify(
    engine: InferenceFunction, precision: EnginePrecision, source: Source, reference: Reference
) -> Verification:
    """Compare an engine with the model: int8 by top-1 on images, other precisions by their logits.

    The limits of a trained model are `TOLERANCES`, or in bf16 the error that eager PyTorch itself makes, and
    the predicted classes have to be the same. An untrained one may be ill-conditioned, so that rounding
    changes its logits by any amount: its engines may differ by a multiple of that error.
    """
    difference = reference.difference(engine)
    if precision == "int8":
        return _verify_int8(engine, source, difference)
    error = reference.eager_error(precision)
    limit = limit_of(precision, error, untrained=source.untrained)
    problem = None
    if not difference <= limit:  # also if it is NaN
        problem = f"outputs differ by {difference:.1e} of the largest logit, the limit is {limit:.0e}"
    elif not source.untrained and not reference.same_classes(engine, tie_of(precision, error)):
        problem = "it predicts another class"
    return Verification(difference=difference, eager_error=error, limit=limit, problem=problem)


def limit_of(precision: Precision, error: EagerError | None, *, untrained: bool) -> float:
    """Return the allowed difference in a precision.

    Args:
        precision: fp32, fp16 or bf16.
        error: of eager PyTorch itself; None where it does not run the model in that precision.
        untrained: whether the model is as initialized.
    """
    usual = TOLERANCES[precision]
    if error is None:
        return usual
    if untrained:
        return max(usual, min(UNTRAINED_LIMIT, UNTRAINED_FACTORS[precision] * error.largest))
    return max(usual, min(TRAINED_LIMITS[precision], error.largest))


def tie_of(precision: EnginePrecision, error: EagerError | None) -> float:
    """Return how near two classes of a trained model are whose order may change, as a fraction of the largest
    logit: the larger a batch, the likelier one of its images has two such classes.
    """
    return TIE if error is None else max(TIE, min(TRAINED_LIMITS[precision], error.largest))


def _verify_int8(engine: InferenceFunction, source: Source, difference: float) -> Verification:
    change = top1_change(engine, source)
    return Verification(
        difference=difference, top1_change_percent=change, problem=loss_problem(change, source)
    )


def loss_problem(change: float, source: Source) -> str | None:
    """Return why a change of top-1, in percentage points, is too large; None if it is not."""
    assert source.calibration is not None
    allowed = source.calibration.max_loss_percent
    if change >= -allowed:
        return None
    count = len(source.targets)
    return f"it loses {-change:.2g} points of top-1 on {count} images, the limit is {allowed:g}"
