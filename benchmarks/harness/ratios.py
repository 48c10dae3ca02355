"""Figures of several rounds: medians, ratios with their spread, and tables of text. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

OURS = "lightcars"

Rounds = list[list[float]]
"""One side's samples, round by round."""


def flat(rounds: Rounds) -> list[float]:
    """All samples of one side."""
    return [sample for samples in rounds for sample in samples]


def summary(rounds: Rounds) -> dict[str, float | int]:
    """Median, extremes and number of one side's samples."""
    samples = flat(rounds)
    return {
        "median": rounded(median(samples)),
        "min": rounded(min(samples)),
        "max": rounded(max(samples)),
        "samples": len(samples),
    }


def ratio(peer: Rounds, ours: Rounds) -> dict[str, float]:
    """peer / ours: median over the turns, its extremes over the rounds, and of all medians and best samples.

    Both samples of a turn were taken within a moment of each other, so that what slows the machine for a
    while slows both.
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
    """Summaries of all sides and the ratio of each other side to ours."""
    return {
        "sides": {side: summary(rounds) for side, rounds in sides.items()},
        "peer_over_lightcars": others_over(ours, sides),
    }


def fastest(sides: Mapping[str, Rounds], among: Iterable[str]) -> str:
    """The side with the least median, of some."""
    return min(among, key=lambda side: median(flat(sides[side])))


def others_over(side: str, sides: Mapping[str, Rounds]) -> dict[str, dict[str, float]]:
    """`ratio` of each other side to this one: how many times faster this one is."""
    return {other: ratio(rounds, sides[side]) for other, rounds in sides.items() if other != side}


def over_others(side: str, sides: Mapping[str, Rounds]) -> dict[str, dict[str, float]]:
    """`ratio` of this side to each other one: how many times faster each of them is."""
    return {other: ratio(sides[side], rounds) for other, rounds in sides.items() if other != side}


def relative_difference(got: Sequence[float], expected: Sequence[float]) -> float:
    """The greatest difference of two answers, as a part of the largest expected figure."""
    differences = (abs(a - b) for a, b in zip(got, expected, strict=True))
    return rounded(max(differences) / max(map(abs, expected)))


def differences(logits: Mapping[str, Sequence[Sequence[float]]], expected: str) -> dict[str, float]:
    """Of each side's logits from those of one side, the greatest of all rounds; None counts as no answer."""
    return {
        side: max(map(relative_difference, rounds, logits[expected]))
        for side, rounds in logits.items()
        if side != expected and rounds[0] is not None
    }


def rounded(value: float) -> float:
    """Four significant figures: more would be noise."""
    return float(f"{value:.4g}")


def spread(figures: Mapping[str, float]) -> str:
    """`ratio` as text: the ratio and its extremes."""
    return f"{figures['ratio']:.2f} [{figures['low']:.2f} .. {figures['high']:.2f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns two spaces apart, under a line."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def comparison_row(label: Sequence[str], unit: str, figures: Mapping[str, Any]) -> list[list[str]]:
    """Table rows of one comparison, a side each: median, extremes, ratio, ratio of the best."""
    rows = []
    for side, found in figures["sides"].items():
        against = figures["peer_over_lightcars"].get(side)
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
