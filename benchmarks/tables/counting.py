"""Markdown table of the counters against arithmetic and fvcore, for docs/counting.md. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.tables.speed import Records, markdown, not_yet, origin

EXPLANATIONS = {
    "fused attention": "fvcore does not count `scaled_dot_product_attention`",
    "added product": "fvcore does not count `baddbmm` and `addbmm`",
    "LSTM": "fvcore does not count recurrent layers",
    "einsum": "fvcore does not count this form of `einsum`",
    "matrix product": "fvcore does not count this form of `matmul`",
    "matmul with a broadcast first operand": "fvcore counts a broadcast operand of `matmul` only once",
    "unexplained": "unexplained",
}
"""Kind of function that makes up the difference -> explanation."""
EXAMPLES = 3


def zoo(found: Records) -> str:
    """Return how many models were counted and compared, and one row per explanation of a difference."""
    if "counting_zoo" not in found:
        return not_yet("counting_zoo")
    results = found["counting_zoo"]["results"]
    return f"{_summary(results)}\n{_differences(results['fvcore'])}{origin(found, 'counting_zoo')}"


def _summary(results: Mapping[str, Any]) -> str:
    fvcore, counted, failed = results["fvcore"], len(results["macs"]), len(results["failed"])
    compared = len(fvcore["equal"]) + len(fvcore["different"])
    left = results["listed"] - counted - failed
    waiting = f", {left:,} have not been counted yet" if left else ""
    untraced = f"; {len(fvcore['failed'])} more it could not trace" if fvcore["failed"] else ""
    return (
        f"Of {results['listed']:,} classifiers of torchvision and timm, {counted:,} were counted,"
        f" {failed} could not be{waiting}. {len(results['unlike_arithmetic'])} counts differ from the"
        " arithmetic of the functions that the models call. fvcore was compared on"
        f" {compared} of those below {fvcore['below_gmacs']:g} billion multiply-accumulates:"
        f" {len(fvcore['equal'])} equal, {len(fvcore['different'])} different{untraced}.\n"
    )


def _differences(fvcore: Mapping[str, Any]) -> str:
    groups: dict[str, list[str]] = {}
    for name, difference in fvcore["different"].items():
        groups.setdefault(difference["because"], []).append(name)
    rows = [
        (explain(because), ", ".join(f"`{name}`" for name in sorted(names)[:EXAMPLES]), str(len(names)))
        for because, names in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]
    return markdown(("difference", "for example", "models"), rows, texts=2) if rows else ""


def explain(because: str) -> str:
    """Return the explanation of one kind of function, or of several joined by "and"."""
    return "; ".join(EXPLANATIONS.get(kind, kind) for kind in because.split(" and "))
