"""`lightcars finetune`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightcars.cli.interrupts import one_interrupt
from lightcars.cli.output import (
    INTERRUPTED,
    complain,
    complete_model,
    complete_recipe,
    complete_tracker,
    print_json,
)
from lightcars.cli.recipe_options import names_a_recipe, recipe_from_options, recipe_option
from lightcars.recipes.recipe import Recipe
from lightcars.runs.selection import shown_split, shows_top5
from lightcars.training.distributed.processes import is_first_process, started_by_torchrun

if TYPE_CHECKING:
    from lightcars.training.result import FinetuneResult


def finetune(
    data: Annotated[
        Path, typer.Argument(help="Folder of images, in any layout that `lightcars data` reads.")
    ],
    model: Annotated[
        str | None, recipe_option("model", "Name from `lightcars list`", complete=complete_model)
    ] = None,
    weights: Annotated[
        str | None,
        recipe_option(
            "weights",
            "Start from a run, a tag of `lightcars weights`, a folder or a file",
            otherwise="random initialization",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Name from `lightcars recipes`, or a YAML file \\[default: few-images, unless --model or"
            " --weights is given or the images are Stanford Cars].",
            autocompletion=complete_recipe,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of the recipe: optimizer.lr=3e-4. May be repeated."),
    ] = None,
    trackers: Annotated[
        list[str] | None,
        typer.Option(
            "--tracker",
            help="tensorboard, wandb, mlflow or none, in addition to metrics.csv. May be repeated"
            " \\[default: tensorboard].",
            autocompletion=complete_tracker,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder \\[default: runs/<model>-<time>].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    epochs: Annotated[int | None, recipe_option("epochs", "Maximum number of epochs")] = None,
    resolution: Annotated[
        int | None,
        recipe_option("resolution", "Side of the square images in pixels", otherwise="the model's"),
    ] = None,
    batch_size: Annotated[int | None, recipe_option("batch_size", "Images per batch and device")] = None,
    seed: Annotated[int | None, recipe_option("seed", "Random seed")] = None,
    learning_rate: Annotated[float | None, recipe_option("learning_rate", "Peak learning rate")] = None,
    weight_decay: Annotated[float | None, recipe_option("weight_decay", "Weight decay")] = None,
    label_smoothing: Annotated[float | None, recipe_option("label_smoothing", "Label smoothing")] = None,
    schedule: Annotated[str | None, recipe_option("schedule", "Learning rate schedule: {choices}")] = None,
    warmup_epochs: Annotated[
        float | None, recipe_option("warmup_epochs", "Epochs of linear learning rate warm-up")
    ] = None,
    patience: Annotated[
        int | None,
        recipe_option("patience", "Stop early after this many epochs without a lower validation loss"),
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option("--augment/--no-augment", help="Augment the training images \\[default: augment]."),
    ] = None,
    img_channels: Annotated[
        int | None,
        recipe_option(
            "img_channels", "Input channels; 1 trains on grayscale images", otherwise="the model's, 3"
        ),
    ] = None,
    width: Annotated[
        float | None, recipe_option("width", "Width multiplier", otherwise="the model's")
    ] = None,
    out_channels: Annotated[
        int | None, recipe_option("out_channels", "Channels before the classifier", otherwise="the model's")
    ] = None,
    dropout: Annotated[
        float | None, recipe_option("dropout", "Dropout before the classifier", otherwise="the model's")
    ] = None,
    precision: Annotated[
        str | None,
        recipe_option("precision", "{choices}; auto depends on the machine, fastest is measured"),
    ] = None,
    memory_format: Annotated[
        str | None, recipe_option("memory_format", "{choices}; fastest is measured")
    ] = None,
    compile: Annotated[bool | None, recipe_option("compile", "Train through torch.compile")] = None,
    gradient_checkpointing: Annotated[
        bool | None,
        recipe_option(
            "gradient_checkpointing", "Recompute activations in the backward pass: less memory, more time"
        ),
    ] = None,
    accelerator: Annotated[str | None, recipe_option("accelerator", "{choices}", flag="--device")] = None,
    devices: Annotated[int | None, recipe_option("devices", "Devices on each machine")] = None,
    num_nodes: Annotated[int | None, recipe_option("num_nodes", "Machines")] = None,
    workers: Annotated[int | None, recipe_option("workers", "Data loader processes")] = None,
    select_on: Annotated[
        str | None,
        recipe_option(
            "select_on", "Split that selects the best epoch: {choices}, the latter to reproduce theses"
        ),
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="Evaluate on the test split once, at the end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fine-tune a model on your own images and keep everything in one run folder.

    Without options, EfficientNet-Lite0 starts from ImageNet weights, which ship with lightcars. A recipe
    changes the defaults; options and --set take precedence over it.

    After Ctrl-C, --resume continues from the last complete epoch, with the same result as without a stop.

    Example: lightcars finetune my_images, or lightcars finetune cars --model ghostnet_100 --epochs 10
    """
    given = {name: value for name, value in locals().items() if value is not None}
    if not resume and not names_a_recipe(given, settings or []):
        from lightcars.training.default_recipe import default_recipe

        recipe = default_recipe(data)
    chosen = recipe_from_options(given, recipe, settings or [], out if resume else None)
    result = start(data, chosen, out=out, resume=resume, trackers=trackers or None)
    if not is_first_process():
        return
    if as_json:
        print_json(as_plain(result))
    else:
        say(result)


def start(
    data: Path,
    recipe: Recipe,
    *,
    out: Path | None,
    resume: bool = False,
    trackers: list[str] | None = None,
) -> FinetuneResult:
    """Fine-tune; after Ctrl-C, say how to resume, in one line."""
    with one_interrupt():
        folder = out
        try:
            from lightcars.training.finetune import finetune as run_finetune
            from lightcars.training.job import default_folder

            folder = out if out or resume else default_folder(recipe.name or recipe.model.name)
            return run_finetune(
                data, recipe=recipe, out=folder, resume=resume, trackers=trackers, progress=True
            )
        except KeyboardInterrupt:
            if is_first_process():
                _say_interrupted(data, folder)
            raise typer.Exit(INTERRUPTED) from None


def _say_interrupted(data: Path, folder: Path | None) -> None:
    from lightcars.runs.folder import RunFolder

    if folder is None or not RunFolder(folder).description.exists():
        complain("\nstopped before the run began; nothing was written")
        return
    again = shlex.join(["lightcars", "finetune", str(data), "--out", str(folder), "--resume"])
    again = f"torchrun ... -m {again}" if started_by_torchrun() else again
    complain(f"\nstopped; resume with: {again}")


def as_plain(result: FinetuneResult) -> dict[str, Any]:
    """Return the result as plain data, for JSON."""
    return {"run": str(result.run), **result.metrics}


def say(result: FinetuneResult) -> None:
    """Print the result."""
    metrics = result.metrics
    select_on = metrics.get("selected_on", "val")
    split, test = shown_split(select_on), shown_split("test") if select_on == "test" else "test"
    several = shows_top5(result.model.config.num_classes)

    def shown(part: str) -> str:
        top5 = f", top-5 {metrics[f'{part}_top5_percent']:.2f} %" if several else ""
        return f"top-1 {metrics[f'{part}_top1_percent']:.2f} %{top5}"

    tested = f"{test} {shown('test')}\n" if "test_top1_percent" in metrics else ""
    page = result.run / "report.html"
    typer.echo(
        f"best epoch {metrics['best_epoch']} of {metrics['epochs']}: {split} {shown('val')}\n{tested}"
        f"run folder: {result.run} (curves.png, metrics.csv, best/, last/)\n"
        f"{f'report: {page}{chr(10)}' if page.is_file() else ''}"
        f"next: lightcars predict {result.run} IMAGE..."
    )
