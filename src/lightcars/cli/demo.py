"""`lightcars demo`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightcars.cli.finetune import as_plain, say, start
from lightcars.cli.output import complain, print_json
from lightcars.cli.predict import predict_all, predictions_as_plain, print_predictions
from lightcars.errors import DataError
from lightcars.recipes.recipe import AugmentRecipe, OptimizerRecipe, Recipe

if TYPE_CHECKING:
    from lightcars.data.layouts import Sample

SYNTHETIC_TRAIN, SYNTHETIC_VAL = 300, 25
"""Number of synthetic images of each class."""
SYNTHETIC_RECIPE = Recipe(
    epochs=8,
    resolution=64,
    batch_size=32,
    optimizer=OptimizerRecipe(lr=3e-3),
    augment=AugmentRecipe(images=({"RandomHorizontalFlip": {"p": 0.5}},)),
)
IMAGES_RECIPE = Recipe(epochs=10, resolution=96)


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Images to train on instead of synthetic ones; as for `finetune`.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Output folder \\[default: runs/demo-<time>].")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs to train \\[default: 8, or 10 with --data].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run the whole workflow: fine-tune GhostNet on cars, plot the curves, predict one image.

    Without --data, it trains on synthetic images of eight classes: about two minutes on two cores.

    Example: lightcars demo, or lightcars demo --data cars
    """
    from dataclasses import replace

    from lightcars.data.drawn_cars import draw_cars
    from lightcars.data.layouts import find_data, with_validation
    from lightcars.runs.folder import check_free

    folder = out or Path("runs") / f"demo-{datetime.now():%Y%m%d-%H%M%S}"
    recipe = SYNTHETIC_RECIPE if data is None else IMAGES_RECIPE
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    check_free(folder)
    if data is None:
        data = folder / "cars"
        complain(f"writing synthetic images to {data}")
        draw_cars(data, train=SYNTHETIC_TRAIN, val=SYNTHETIC_VAL)
    result = start(data, recipe, out=folder / "run")
    image = _first_readable(with_validation(find_data(data), recipe.seed).split("val"))
    picture = folder / "prediction.png"
    pictures = [str(picture), str(result.run / "curves.png")]
    guesses = predict_all(result.run, [image], top=3, picture=picture)
    if as_json:
        content = {**as_plain(result), "prediction": predictions_as_plain(guesses)[0], "pictures": pictures}
        print_json(content)
        return
    say(result)
    typer.echo()
    print_predictions(guesses)
    typer.echo(f"\nplots: {', '.join(pictures)}")


def _first_readable(samples: Sequence[Sample]) -> Path:
    from lightcars.models.images import read_image

    for sample in samples:
        with suppress(DataError):
            read_image(sample.path, 3)
            return sample.path
    return samples[0].path
