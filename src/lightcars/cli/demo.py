"""`lightcars demo`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from lightcars.cars.recipe import Recipe
from lightcars.cli.finetune import start
from lightcars.cli.output import complain
from lightcars.cli.predict import predict

DRAWN_TRAIN, DRAWN_VAL = 300, 25
"""Pictures of each kind."""
DRAWN_RECIPE = Recipe(epochs=8, resolution=64, batch_size=32, learning_rate=3e-3, augment=False)
PHOTO_RECIPE = Recipe(epochs=10, resolution=96)


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Photographs to train on, in place of drawn cars; as for `finetune`.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything \\[default: runs/demo-<time>].")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="\\[default: 8 drawn, 10 photographs]")] = None,
) -> None:
    """Show the whole way: fine-tune GhostNet on cars, look at the curves, predict one of them.

    Without --data the cars are drawn: eight kinds that differ in shape, about two minutes on two cores.
    """
    from dataclasses import replace

    from lightcars.cars.drawing import draw_cars
    from lightcars.cars.layouts import find_data, with_validation
    from lightcars.cars.run import check_free

    folder = out or Path("runs") / f"demo-{datetime.now():%Y%m%d-%H%M%S}"
    recipe = DRAWN_RECIPE if data is None else PHOTO_RECIPE
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    check_free(folder)
    if data is None:
        data = folder / "cars"
        complain(f"drawing cars into {data}")
        draw_cars(data, train=DRAWN_TRAIN, val=DRAWN_VAL)
    run = start(data, "ghostnet_100", recipe, {}, out=folder / "run")
    photo = with_validation(find_data(data), recipe.seed).split("val")[0].path
    picture = folder / "prediction.png"
    typer.echo()
    predict(run, [photo], top=3, picture=picture)
    typer.echo(f"\npictures: {picture}, {run / 'curves.png'}")
