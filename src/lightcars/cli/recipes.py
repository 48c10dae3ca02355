"""`lightcars recipes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightcars.cli.output import complete_recipe, print_json, print_table
from lightcars.files import write_text
from lightcars.outputs import FORCE_HELP, check_output_file

app = typer.Typer(invoke_without_command=True)


@app.callback()
def recipes(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print whole recipes as JSON.")] = False,
) -> None:
    """List the recipes for `lightcars finetune --recipe`; show or copy one of them.

    A recipe is everything that determines a fine-tune besides the images. Those of the theses have exactly
    their settings; few-images and those named cars-... are our own.

    Example: lightcars recipes show c-50
    """
    if context.invoked_subcommand is not None:
        return
    from lightcars.recipes.files import load_recipe, recipe_names

    found = {name: load_recipe(name) for name in recipe_names()}
    if as_json:
        print_json({name: recipe.to_dict() for name, recipe in found.items()})
        return
    rows = [(name, recipe.model.name, recipe.source or "") for name, recipe in found.items()]
    print_table(("recipe", "model", "source"), rows)


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
