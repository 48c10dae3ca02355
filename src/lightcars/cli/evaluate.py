"""`lightcars evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lightcars.cli.output import complain, print_json, print_table
from lightcars.runs.selection import shows_top5


def evaluate(
    run: Annotated[
        str,
        typer.Argument(help="Run folder of `lightcars finetune`, checkpoint folder, or published weights."),
    ],
    data: Annotated[Path, typer.Argument(help="Folder with the images, as for `lightcars finetune`.")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    batch_size: Annotated[int, typer.Option(min=1, help="Images per forward pass.")] = 64,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... \\[default: cuda if available].")] = None,
    worst: Annotated[int, typer.Option(min=0, help="How many of the worst classes to list.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all classes.")] = False,
) -> None:
    """Evaluate a trained model on one split: top-1, top-5, the worst classes.

    Example: lightcars evaluate runs/first cars --split val --json
    """
    from lightcars.evaluation.evaluate import evaluate as run_evaluate

    metrics = run_evaluate(run, data, split=split, batch_size=batch_size, device=device, progress=True)
    for problem in metrics.broken:
        complain(f"warning: skipped: {problem}")
    if as_json:
        print_json(asdict(metrics))
        return
    note = f" ({metrics.note})" if metrics.note else ""
    top5 = f", top-5 {metrics.top5_percent:.2f} %" if shows_top5(len(metrics.per_class)) else ""
    typer.echo(
        f"{metrics.split}{note}: {metrics.num_images} images, top-1 {metrics.top1_percent:.2f} %"
        f"{top5}, loss {metrics.loss:.3f}"
    )
    if worst:
        ranked = sorted(metrics.per_class, key=lambda row: (row.top1_percent, row.name))[:worst]
        rows = [(row.name, str(row.num_images), f"{row.top1_percent:.1f} %") for row in ranked]
        typer.echo(f"\nworst classes{note}")
        print_table(("class", "images", "top-1"), rows, right=("images", "top-1"))
