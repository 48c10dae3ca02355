"""`lightcars predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lightcars.cli.output import print_table
from lightcars.errors import InputError


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder of `lightcars finetune`, or a checkpoint folder.")],
    images: Annotated[list[Path], typer.Argument(help="Photographs.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to show.")] = 5,
    picture: Annotated[
        Path | None, typer.Option(help="Draw photograph and prediction into this PNG (one photograph).")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, ... \\[default: cuda if it is there].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which car is on a photograph, with probabilities.

    Example: lightcars predict runs/first photo.jpg --top 3
    """
    from lightcars.cars.predict import predict as run_predict

    if picture is not None and len(images) != 1:
        raise InputError(f"--picture draws one photograph, not {len(images)}.")
    predictions = run_predict(run, images, top=top, device=device)
    if as_json:
        content = [
            {
                "image": str(prediction.path),
                "guesses": [{"name": g.name, "probability": g.probability} for g in prediction.guesses],
            }
            for prediction in predictions
        ]
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        for prediction in predictions:
            rows = [(f"{guess.probability:.1%}", guess.name) for guess in prediction.guesses]
            typer.echo(prediction.path)
            print_table(("probability", "class"), rows, right="probability")
    if picture is not None:
        from lightcars.cars.images import read_image
        from lightcars.cars.report import draw_prediction

        draw_prediction(read_image(images[0], 3), predictions[0], picture)
