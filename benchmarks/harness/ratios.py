"""Statistics over rounds: medians, ratios with their spread, and text tables. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from lightcars.tables import text_table

OURS = "lightcars"

table = text_table

Rounds = list[list[float]]
"""One side's samples, round by round."""


def flat(rounds: Rounds) -> list[float]:
    """Return all samples of one side."""
    return [sample for samples in rounds for sample in samples]


def summary(rounds: Rounds) -> dict[str, float | int]:
    """Return median, extremes and number of one side's samples."""
    samples = flat(rounds)
    return {
        "median": rounded(median(samples)),
        "min": rounded(min(samples)),
        "max": rounded(max(samples)),
        "samples": len(samples),
    }


def ratio(peer: Rounds, ours: Rounds) -> dict[str, float]:
    """Return peer / ours: the median over turns, its extremes over rounds, and that of medians and minima.

    Both samples of a turn are taken right after each other, so that a slower machine slows both.
    """
    each = [median(a / b for a, b in zip(*samples, strict=True)) for samples in zip(peer, ours, strict=True)]
    return {
        "ratio": rounded(median(a / b for a, b in zip(flat(peer), flat(ours), strict=True))),
        "low": rounded(min(each)),
        "high": rounded(max(each)),
        "of_medians": rounded(median(flat(peer)) / median(flat(ours))),
        "best": rounded(min(flat(peer)) / min(flat(ours))),
    }


def compare(sides: Mapping[str, Rounds], ours: str = OURS) -> dict[str, Any]:
    """Return summaries of all sides, and the ratio of each other side to ours."""
    return {
        "sides": {side: summary(rounds) for side, rounds in sides.items()},
        "peer_over_lightcars": others_over(ours, sides),
    }


def fastest(sides: Mapping[str, Rounds], among: Iterable[str]) -> str:
    """Return the side with the smallest median among the given ones."""
    return min(among, key=lambda side: median(flat(sides[side])))


def others_over(side: str, sides: Mapping[str, Rounds]) -> dict[str, dict[str, float]]:
    """Return `ratio` of each other side to this one: how many times faster this one is."""
    return {other: ratio(rounds, sides[side]) for other, rounds in sides.items() if other != side}


def over_others(side: str, sides: Mapping[str, Rounds]) -> dict[str, dict[str, float]]:
    """Return `ratio` of this side to each other one: how many times faster each of them is."""
    return {other: ratio(sides[side], rounds) for other, rounds in sides.items() if other != side}


def relative_difference(got: Sequence[float], expected: Sequence[float]) -> float:
    """Return the largest difference of two outputs, relative to the largest expected value."""
    differences = (abs(a - b) for a, b in zip(got, expected, strict=True))
    return rounded(max(differences) / max(map(abs, expected)))


def differences(logits: Mapping[str, Sequence[Sequence[float]]], expected: str) -> dict[str, float]:
    """Return the largest difference of each side's logits from one side's; None means no logits."""
    return {
        side: max(map(relative_difference, rounds, logits[expected]))
        for side, rounds in logits.items()
        if side != expected and rounds[0] is not None
    }


def rounded(value: float) -> float:
    """Round to four significant digits: more would be noise."""
    return float(f"{value:.4g}")


def spread(ratios: Mapping[str, float]) -> str:
    """Format `ratio`: the ratio and its extremes."""
    return f"{ratios['ratio']:.2f} [{ratios['low']:.2f} .. {ratios['high']:.2f}]"


def comparison_row(label: Sequence[str], unit: str, compared: Mapping[str, Any]) -> list[list[str]]:
    """Return the table rows of one comparison, one per side: median, extremes, ratio, ratio of the minima."""
    rows = []
    for side, found in compared["sides"].items():
        against = compared["peer_over_lightcars"].get(side)
        rows.append(
            [
                *label,
                side,
                f"{found['median']:.4g} {unit}",
                f"{found['min']:.4g} .. {found['max']:.4g}",
                spread(against) if against else "",
                f"{against['best']:.2f}" if against else "",
            ]
        )
    return rows


COMPARISON_HEAD = ("side", "median", "min .. max", "peer / lightcars", "of the best")
