"""`lightcars evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightcars.cli.output import complain, print_table


def evaluate(
    run: Annotated[
        str,
        typer.Argument(help="Run folder of `lightcars finetune`, checkpoint folder, or published weights."),
    ],
    data: Annotated[Path, typer.Argument(help="Folder with the photographs, as for `lightcars finetune`.")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    batch_size: Annotated[int, typer.Option(min=1, help="Photographs at a time.")] = 64,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, ... \\[default: cuda if it is there].")
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="How many of the worst classes to list.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all classes in it.")] = False,
) -> None:
    """Measure a trained model on one split: top-1, top-5, the worst classes.

    Example: lightcars evaluate runs/first cars --split val --json
    """
    from lightcars.evaluation.evaluate import evaluate as run_evaluate

    figures = run_evaluate(run, data, split=split, batch_size=batch_size, device=device, progress=True)
    for problem in figures.broken:
        complain(f"warning: left out: {problem}")
    if as_json:
        typer.echo(figures.to_json())
        return
    note = f" ({figures.note})" if figures.note else ""
    typer.echo(
        f"{figures.split}{note}: {figures.num_images} photographs, top-1 {figures.top1_percent:.2f} %,"
        f" top-5 {figures.top5_percent:.2f} %, loss {figures.loss:.3f}"
    )
    if worst:
        ranked = sorted(figures.per_class, key=lambda row: (row.top1_percent, row.name))[:worst]
        rows = [(row.name, str(row.num_images), f"{row.top1_percent:.1f} %") for row in ranked]
        typer.echo(f"\nworst classes{note}")
        print_table(("class", "photographs", "top-1"), rows, right=("photographs", "top-1"))
