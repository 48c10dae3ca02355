"""`lightcars finetune`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightcars.cli.output import INTERRUPTED, complain, complete_model, complete_recipe, complete_tracker
from lightcars.errors import ConfigError
from lightcars.recipes.recipe import STEPWISE, Recipe
from lightcars.runs.selection import shown_split
from lightcars.training.distributed.processes import is_first_process, started_by_torchrun

if TYPE_CHECKING:
    from lightcars.training.finetune import FinetuneResult

PLAIN = (
    "epochs",
    "resolution",
    "batch_size",
    "seed",
    "label_smoothing",
    "patience",
    "select_on",
    "precision",
    "memory_format",
    "compile",
    "gradient_checkpointing",
    "accelerator",
    "devices",
    "num_nodes",
    "workers",
)
KEYS = {
    "model": "model.name",
    "weights": "model.weights",
    "img_channels": "model.settings.img_channels",
    "width": "model.settings.width",
    "out_channels": "model.settings.out_channels",
    "dropout": "model.settings.dropout",
    "learning_rate": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "schedule": "schedule.name",
    "warmup_epochs": "schedule.warmup_epochs",
    **{name: name for name in PLAIN},
}
"""Options -> keys of a recipe."""


def finetune(
    data: Annotated[
        Path,
        typer.Argument(help="Folder with photographs, in any layout that `lightcars data` knows."),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Name from `lightcars list` \\[default: ghostnet_100].", autocompletion=complete_model
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="To start from: a run, a tag of `lightcars weights`, folder or file \\[default: fresh]."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Name from `lightcars recipes`, or a YAML file.", autocompletion=complete_recipe),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of the recipe: optimizer.lr=3e-4. May be repeated."),
    ] = None,
    trackers: Annotated[
        list[str] | None,
        typer.Option(
            "--tracker",
            help="tensorboard, wandb, mlflow or none, beside metrics.csv. May be repeated"
            " \\[default: tensorboard].",
            autocompletion=complete_tracker,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder \\[default: runs/<model>-<time>].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most \\[default: 30].")] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Pixels of the square \\[default: the model's].")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Photographs per step and device \\[default: 64].")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random \\[default: 0].")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of the optimizer, at its peak \\[default: 0.001].")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of the optimizer \\[default: 0.05].")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="\\[default: 0.1]")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="cosine, constant, or one of torch's \\[default: cosine].")
    ] = None,
    warmup_epochs: Annotated[float | None, typer.Option(help="Of rising rate \\[default: 1].")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a lower loss \\[default: 15].")
    ] = None,
    augment: Annotated[
        bool | None, typer.Option("--augment/--no-augment", help="\\[default: augment]")
    ] = None,
    img_channels: Annotated[int | None, typer.Option(help="1 trains on grayscale \\[default: 3].")] = None,
    width: Annotated[float | None, typer.Option(help="Width multiplier \\[default: the model's].")] = None,
    out_channels: Annotated[
        int | None, typer.Option(help="Before the classifier \\[default: the model's].")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="\\[default: the model's]")] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="32-true, bf16-mixed, 16-mixed, or auto: measured at the start \\[default: auto]."),
    ] = None,
    memory_format: Annotated[
        str | None,
        typer.Option(help="channels_last, contiguous, or auto: measured at the start \\[default: auto]."),
    ] = None,
    compile: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", help="Train through torch.compile \\[default: no-compile]."),
    ] = None,
    gradient_checkpointing: Annotated[
        bool | None,
        typer.Option(
            "--gradient-checkpointing/--no-gradient-checkpointing",
            help="Less memory, more time \\[default: no-gradient-checkpointing].",
        ),
    ] = None,
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu or gpu \\[default: auto].")] = None,
    devices: Annotated[int | None, typer.Option(help="How many on each machine \\[default: 1].")] = None,
    num_nodes: Annotated[int | None, typer.Option(help="Machines \\[default: 1].")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that augment \\[default: 0].")] = None,
    select_on: Annotated[
        str | None,
        typer.Option(help="val, or test to redo the theses, which chose by it \\[default: val]."),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Evaluate on test once, at the end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fine-tune a model on photographs of cars and keep everything in one run folder.

    With --recipe the defaults are the recipe's; options and --set win over it.

    Ctrl-C stops after saving nothing half: --resume goes on after the last whole epoch, to the same result.

    Example: lightcars finetune cars --model ghostnet_100 --epochs 10 --resolution 96 --out runs/first
    """
    given = {name: value for name, value in locals().items() if value is not None}
    chosen = _recipe(given, recipe, settings or [], out if resume else None)
    result = start(data, chosen, out=out, resume=resume, trackers=trackers or None)
    if not is_first_process():
        return
    if as_json:
        typer.echo(json.dumps(as_plain(result), indent=2))
    else:
        say(result)


def _recipe(given: dict[str, Any], name: str | None, settings: list[str], resumed: Path | None) -> Recipe:
    """The recipe that the options make: from the named one, the resumed run's, or the defaults."""
    from lightcars.recipes.files import load_recipe, parse_recipe
    from lightcars.runs.folder import RunFolder

    changes = [f"{KEYS[key]}={json.dumps(value)}" for key, value in given.items() if key in KEYS]
    changes += ["augment.images=[]"] if given.get("augment") is False else []
    changes += ["test=true"] if given["test"] else []
    changes = [*_cleared(given, name), *changes, *settings] if resumed is None else changes + settings
    if resumed is not None:
        if name is not None:
            raise ConfigError("a resumed run keeps its recipe; leave --recipe out.")
        return parse_recipe(json.dumps(RunFolder(resumed).read().recipe.to_dict()), str(resumed), changes)
    return parse_recipe("{}", "the recipe", changes) if name is None else load_recipe(name, changes)


def _cleared(given: dict[str, Any], name: str | None) -> list[str]:
    """What another model or schedule than the recipe's cannot take over from it."""
    from lightcars.recipes.files import load_recipe

    base = Recipe() if name is None else load_recipe(name)
    cleared = []
    if given.get("model", base.model.name) != base.model.name:
        cleared += ["name=null", "model.settings={}", "model.weights=null"]
    if given.get("schedule", base.schedule.name) != base.schedule.name:
        cleared += ["name=null", "schedule.settings={}"]
        cleared += [] if given["schedule"] in STEPWISE else ["schedule.warmup_epochs=0"]
    return cleared


def start(
    data: Path,
    recipe: Recipe,
    *,
    out: Path | None,
    resume: bool = False,
    trackers: list[str] | None = None,
) -> FinetuneResult:
    """Fine-tunes; Ctrl-C ends with the line that goes on."""
    from lightcars.training.finetune import finetune as run_finetune
    from lightcars.training.job import default_folder

    folder = out if out or resume else default_folder(recipe.name or recipe.model.name)
    try:
        return run_finetune(data, recipe=recipe, out=folder, resume=resume, trackers=trackers, progress=True)
    except KeyboardInterrupt:
        if not is_first_process():
            raise typer.Exit(INTERRUPTED) from None
        if folder is None or not (folder / "run.json").exists():
            complain("\nstopped before the run began; nothing was written")
            raise typer.Exit(INTERRUPTED) from None
        again = shlex.join(["lightcars", "finetune", str(data), "--out", str(folder), "--resume"])
        again = f"torchrun ... -m {again}" if started_by_torchrun() else again
        complain(f"\nstopped; go on with: {again}")
        raise typer.Exit(INTERRUPTED) from None


def as_plain(result: FinetuneResult) -> dict[str, Any]:
    """The result for scripts."""
    return {"run": str(result.run), **result.metrics}


def say(result: FinetuneResult) -> None:
    """The result for people."""
    metrics = result.metrics
    select_on = metrics.get("selected_on", "val")
    split, test = shown_split(select_on), shown_split("test") if select_on == "test" else "test"
    tested = (
        f"{test} top-1 {metrics['test_top1_percent']:.2f} %, top-5 {metrics['test_top5_percent']:.2f} %\n"
        if "test_top1_percent" in metrics
        else ""
    )
    page = result.run / "report.html"
    typer.echo(
        f"best epoch {metrics['best_epoch']} of {metrics['epochs']}: {split} top-1"
        f" {metrics['val_top1_percent']:.2f} %, top-5 {metrics['val_top5_percent']:.2f} %\n{tested}"
        f"run folder: {result.run} (curves.png, metrics.csv, best/, last/)\n"
        f"{f'report: {page}{chr(10)}' if page.is_file() else ''}"
        f"next: lightcars predict {result.run} PHOTO..."
    )
