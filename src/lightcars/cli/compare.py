"""`lightcars compare`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightcars.cli.interrupts import one_interrupt
from lightcars.cli.output import (
    INTERRUPTED,
    complain,
    complete_model,
    complete_recipe,
    print_json,
    print_table,
)
from lightcars.tables import short_number

if TYPE_CHECKING:
    from lightcars.training.comparing import ModelComparison


def compare(
    models: Annotated[
        list[str], typer.Argument(help="Names from `lightcars list`.", autocompletion=complete_model)
    ],
    data: Annotated[Path, typer.Option(help="Folder of images, as for `lightcars finetune`.")],
    out: Annotated[Path, typer.Option(help="Output folder; an unfinished comparison in it is resumed.")],
    recipe: Annotated[
        str,
        typer.Option(help="Name from `lightcars recipes`, or a YAML file.", autocompletion=complete_recipe),
    ] = "compare",
    epochs: Annotated[
        int | None, typer.Option(help="Epochs for each model \\[default: the recipe's].")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Side of the square images in pixels \\[default: the recipe's].")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a key of the recipe: key=value.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train models with the same recipe and budget, and compare their accuracy and cost on one page.

    All models start from random weights. Accuracy is that of the best epoch on the validation images. The
    page has a table and charts of accuracy against FLOPs, parameters and measured latency. Run the same
    command to resume a comparison that was stopped.

    Example: lightcars compare ghostnet_100 mobilenetv3_large_100 --data cars --out compared --epochs 5
    """
    from lightcars.recipes.files import load_recipe
    from lightcars.training.comparing import compare_models

    changes = [*(set_ or [])]
    changes += [] if epochs is None else [f"epochs={epochs}"]
    changes += [] if resolution is None else [f"resolution={resolution}"]
    with one_interrupt():
        try:
            done = compare_models(
                models, data, out, recipe=load_recipe(recipe, changes), progress=not as_json
            )
        except KeyboardInterrupt:
            complain("\nstopped; the same command resumes it")
            raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json({"page": str(done.page), "models": [asdict(model) for model in done.models]})
    else:
        _print(done)


def _print(done: ModelComparison) -> None:
    informative = any(model.top5_percent < 100 for model in done.models)  # never with five classes or fewer
    head = (
        "model",
        "top-1",
        *(["top-5"] if informative else []),
        "parameters",
        "FLOPs",
        "latency",
        "training",
    )
    rows = [
        (
            model.name,
            f"{model.top1_percent:.2f} %",
            *([f"{model.top5_percent:.2f} %"] if informative else []),
            short_number(model.num_params),
            short_number(model.flops),
            f"{model.latency_ms:.1f} ms",
            f"{model.seconds / 60:.1f} min",
        )
        for model in sorted(done.models, key=lambda model: -model.top1_percent)
    ]
    print_table(head, rows, right=head[1:])
    typer.echo(f"page: {done.page}")
