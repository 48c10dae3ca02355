"""`lightcars list`."""

from __future__ import annotations

from typing import Annotated

import typer

from lightcars.cli.output import print_json, print_table
from lightcars.errors import UnknownModelError
from lightcars.models.registry import MODELS
from lightcars.models.registry import list_models as matching


def list_models(
    pattern: Annotated[str, typer.Argument(help="Shell pattern, such as 'efficientnet_*'.")] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models with their parameters and multiply-accumulates.

    Both are for 1000 classes and one image at the model's default resolution.
    """
    names = matching(pattern)
    if not names:
        raise UnknownModelError(f"no model matches {pattern!r}; `lightcars list` shows all.")
    if as_json:
        print_json([_entry(name) for name in names])
        return
    rows = [
        (
            name,
            f"{MODELS[name].num_params / 1e6:.2f} M",
            f"{MODELS[name].flops / 1e6:,.0f} M",
            f"{MODELS[name].config.resolution} px",
            MODELS[name].paper,
        )
        for name in names
    ]
    head = ("model", "parameters", "FLOPs", "input", "paper")
    print_table(head, rows, right=("parameters", "FLOPs", "input"))


def _entry(name: str) -> dict[str, object]:
    entry = MODELS[name]
    return {
        "name": name,
        "num_params": entry.num_params,
        "flops": entry.flops,
        "resolution": entry.config.resolution,
        "paper": entry.paper,
    }
