"""`lightcars recipes`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightcars.cli.output import complain, complete_recipe, print_json, print_table
from lightcars.files import write_text
from lightcars.outputs import FORCE_HELP, check_output_file
from lightcars.recipes.thesis_results import THESIS_TOP1_PERCENT

if TYPE_CHECKING:
    from lightcars.recipes.recipe import Recipe

HEAD = ("recipe", "model", "optimizer", "lr", "decay", "schedule", "px", "thesis")
MORE = ("epochs", "batch", "model settings", "augmentation", "label smoothing", "source")
"""Columns of the table; the latter ones only where there is room: in a pipe, or on a wide terminal."""
WIDE = 220
_LONG = ("padding", "batch_norm_eps", "batch_norm_momentum", "blocks")
"""Settings of models that are left out."""

app = typer.Typer(invoke_without_command=True)


@app.callback()
def recipes(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print whole recipes as JSON.")] = False,
) -> None:
    """List the recipes for `lightcars finetune --recipe`; show or copy one of them.

    A recipe is everything besides the images that determines a fine-tuning run. The recipes of the two 2020
    theses that lightcars reproduces have exactly their settings; few-images and cars-... are our own.

    Example: lightcars recipes show c-50
    """
    if context.invoked_subcommand is not None:
        return
    from lightcars.recipes.files import load_recipe, recipe_names

    found = {name: load_recipe(name) for name in recipe_names()}
    if as_json:
        print_json({name: recipe.to_dict() for name, recipe in found.items()})
        return
    head: tuple[str, ...] = HEAD
    rows = [_row(name, recipe) for name, recipe in found.items()]
    if not sys.stdout.isatty() or shutil.get_terminal_size().columns >= WIDE:
        head = (*HEAD, *MORE)
        rows = [(*row, *_more(recipe)) for row, recipe in zip(rows, found.values(), strict=True)]
    print_table(head, rows, right=("lr", "decay", "px", "thesis", "epochs", "batch", "label smoothing"))
    complain("thesis: top-1 stated by the thesis, on the test split, which also selected its epoch")


def _row(name: str, recipe: Recipe) -> tuple[str, ...]:
    """Return the cells of a recipe in the columns of `HEAD`."""
    stated = THESIS_TOP1_PERCENT.get(name)
    return (
        name,
        recipe.model.name,
        recipe.optimizer.name,
        f"{recipe.optimizer.lr:g}",
        f"{recipe.optimizer.weight_decay:g}",
        recipe.schedule.name,
        "" if recipe.resolution is None else str(recipe.resolution),
        "" if stated is None else f"{stated:.1f} %",
    )


def _more(recipe: Recipe) -> tuple[str, ...]:
    """Return the cells of a recipe in the columns of `MORE`."""
    settings, augment = recipe.model.settings, recipe.augment
    steps = [name for step in (*augment.images, *augment.tensors, *augment.batches) for name in step]
    return (
        str(recipe.epochs),
        str(recipe.batch_size),
        ", ".join(f"{name}={value}" for name, value in settings.items() if name not in _LONG),
        ", ".join(name.removeprefix("Random") for name in steps),
        f"{recipe.label_smoothing:g}",
        recipe.source or "",
    )


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the recipe.", autocompletion=complete_recipe)],
) -> None:
    """Print a recipe as YAML."""
    from lightcars.recipes.files import recipe_text

    typer.echo(recipe_text(name), nl=False)


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="Name of the recipe.", autocompletion=complete_recipe)],
    target: Annotated[Path, typer.Argument(help="YAML file to write, for editing.")],
    force: Annotated[bool, typer.Option("--force", help=FORCE_HELP)] = False,
) -> None:
    """Copy a recipe into a file of your own."""
    from lightcars.recipes.files import recipe_text

    text = recipe_text(name)
    check_output_file(target, suffixes=(".yaml", ".yml"), force=force)
    write_text(target, text)
    typer.echo(f"written: {target}; use it with --recipe {target}")
