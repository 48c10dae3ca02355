"""`lightcars weights`."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Annotated, Any

import typer

from lightcars.cli.output import complete_model, print_table

UNKNOWN = "unknown"


def weights(
    model: Annotated[
        str | None,
        typer.Argument(help="Name from `lightcars list`; all if left out.", autocompletion=complete_model),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all that is known.")] = False,
) -> None:
    """List the published weights that `weights=` takes by their tag.

    Weights that a digest or a commit pins are always the same file; of unpinned ones the newest is taken.
    Accuracies are those published, at the resolution shown, on ImageNet-1k unless the tag names other data.

    Example: lightcars weights efficientnet_b0
    """
    from lightcars.weights.catalog import WeightsEntry, list_weights

    entries = list_weights(model)
    if as_json:
        typer.echo(json.dumps([_plain(entry) for entry in entries], indent=2))
        return

    def row(entry: WeightsEntry) -> tuple[str, ...]:
        size = UNKNOWN if entry.size_mb is None else f"{entry.size_mb:.0f} MB"
        top1 = UNKNOWN if entry.top1_percent is None else f"{entry.top1_percent:.1f} %"
        pixels = f"{entry.preprocessing.resolution} px"
        shown = (entry.tag, top1, pixels, size, entry.license or UNKNOWN)
        return shown if model is None else (*shown, entry.pin)

    if not entries:
        typer.echo(f"there are no published weights of {model}; use your own folder or file")
        return
    print_table(
        ("tag", "top-1", "input", "size", "license", *(() if model is None else ("pinned by",))),
        [row(entry) for entry in entries],
        right=("top-1", "input", "size"),
    )


def _plain(entry: Any) -> dict[str, Any]:
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    return {
        **values,
        "pin": entry.pin,
        "settings": dict(entry.settings),
        "preprocessing": asdict(entry.preprocessing),
    }
