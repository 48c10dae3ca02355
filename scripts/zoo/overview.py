"""Tables of all families and of all models, from the registry."""

from __future__ import annotations

from collections.abc import Sequence

from lightcars.benching.choosing import ModelRow, Wanted, choose_models
from lightcars.models.families import FAMILIES
from lightcars.tables import markdown_table, short_number

UNKNOWN = "-"


def family_table() -> str:
    """Return a table of the families: the ranges of their models, links to their pages."""
    head = ("family", "models", "parameters", "FLOPs", "top-1", "paper")
    cells = []
    for family in FAMILIES.values():
        rows = choose_models(Wanted(family=family.name))
        variants = ", ".join(f"`{variant}`" for variant in family.variants)
        cells.append(
            [
                f"[`{family.name}`](models/{family.name}.md)",
                variants,
                _range([row.num_params for row in rows]),
                _range([row.flops for row in rows]),
                _top1_range(rows),
                family.paper,
            ]
        )
    return markdown_table(head, cells, right=("parameters", "FLOPs", "top-1")) + "\n"


def family_tree() -> str:
    """Return the contents of docs/models/ for Sphinx."""
    return "\n".join(["```{toctree}", ":hidden:", "", *(f"models/{name}" for name in FAMILIES), "```"]) + "\n"


def model_table() -> str:
    """Return a table of all registered models."""
    head = ("model", "parameters", "FLOPs", "input", "top-1", "paper")
    cells = [
        [
            f"`{row.name}`",
            f"{row.num_params:,}",
            f"{row.flops:,}",
            f"{row.resolution} px",
            stated_top1(row.top1_percent),
            row.paper,
        ]
        for row in choose_models(Wanted())
    ]
    return markdown_table(head, cells, right=head[1:5]) + "\n"


def _top1_range(rows: Sequence[ModelRow]) -> str:
    known = sorted(row.top1_percent for row in rows if row.top1_percent is not None)
    if not known:
        return UNKNOWN
    least, most = f"{known[0]:.1f}", f"{known[-1]:.1f}"
    return f"{least} %" if least == most else f"{least} to {most} %"


def _range(numbers: Sequence[int]) -> str:
    least, most = short_number(min(numbers)), short_number(max(numbers))
    return least if least == most else f"{least} to {most}"


def stated_top1(percent: float | None) -> str:
    """Return an accuracy as text."""
    return UNKNOWN if percent is None else f"{percent:g} %"
