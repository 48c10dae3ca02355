"""`lightcars finetune`."""

from __future__ import annotations

import json
import shlex
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightcars.cars.recipe import DEFAULT_MODEL, Recipe
from lightcars.cli.output import complain, complete_model
from lightcars.errors import ConfigError

if TYPE_CHECKING:
    from lightcars.cars.finetune import FinetuneResult

INTERRUPTED = 130
MODEL_SETTINGS: tuple[str, ...] = ("img_channels", "width", "out_channels", "dropout")


def finetune(
    data: Annotated[
        Path, typer.Argument(help="Folder with train/ (and val/) class folders, or cars_train/ with devkit/.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Name from `lightcars list` \\[default: ghostnet_100].", autocompletion=complete_model
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="To start from: a tag of `lightcars weights`, folder or file \\[default: fresh]."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder \\[default: runs/<model>-<time>].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most \\[default: 30].")] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Pixels of the square \\[default: the model's].")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Photographs per step \\[default: 64].")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random \\[default: 0].")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of AdamW, at its peak \\[default: 0.001].")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of AdamW \\[default: 0.05].")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="\\[default: 0.1]")] = None,
    schedule: Annotated[str | None, typer.Option(help="cosine or constant \\[default: cosine].")] = None,
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
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed or 16-mixed.")] = None,
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu or gpu \\[default: auto].")] = None,
    devices: Annotated[int | None, typer.Option(help="How many \\[default: 1].")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that augment \\[default: 0].")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fine-tune a model on photographs of cars and keep everything in one run folder.

    Ctrl-C stops after saving nothing half: --resume goes on after the last whole epoch, to the same result.

    Example: lightcars finetune cars --model ghostnet_100 --epochs 10 --resolution 96 --out runs/first
    """
    given: dict[str, Any] = {name: value for name, value in locals().items() if value is not None}
    recipe = _recipe(given, out if resume else None)
    changes = {key: given[key] for key in MODEL_SETTINGS if key in given}
    if resume and out:
        _check_same_model(out, {"name": model} if model else {}, changes)
    result = start(data, (model or DEFAULT_MODEL, weights), recipe, changes, out=out, resume=resume)
    if as_json:
        typer.echo(json.dumps(as_plain(result), indent=2))
    else:
        say(result)


def _check_same_model(run: Path, name: dict[str, str], changes: dict[str, Any]) -> None:
    """A resumed run keeps its model; asking for another one is a mistake."""
    from lightcars.cars.run import RunFolder

    stored = RunFolder(run).read()["model"]
    before = {**stored["config"], "name": stored["name"]}
    changed = [f"{key} {before[key]} -> {new}" for key, new in (name | changes).items() if before[key] != new]
    if changed:
        raise ConfigError(
            f"{run} was started with another model ({', '.join(changed)}); resume it as it was."
        )


def _recipe(given: dict[str, Any], resumed: Path | None) -> Recipe:
    """The recipe that the options make: of the defaults, or of the run that is resumed."""
    from lightcars.cars.run import RunFolder

    settings = {field.name: given[field.name] for field in fields(Recipe) if field.name in given}
    before = RunFolder(resumed).read()["recipe"] if resumed else {}
    return Recipe.from_dict(before | settings)


def start(
    data: Path,
    model: tuple[str, str | None],
    recipe: Recipe,
    changes: dict[str, Any],
    *,
    out: Path | None,
    resume: bool = False,
) -> FinetuneResult:
    """Fine-tunes the model (name, weights to start from); Ctrl-C ends with the line that goes on."""
    from lightcars.cars.finetune import finetune as run_finetune
    from lightcars.cars.run import default_folder

    name, weights = model
    folder = out if out or resume else default_folder(name)
    try:
        return run_finetune(
            data,
            model=name,
            weights=weights,
            changes=changes,
            recipe=recipe,
            out=folder,
            resume=resume,
            progress=True,
        )
    except KeyboardInterrupt:
        if folder is None or not (folder / "run.json").exists():
            complain("\nstopped before the run began; nothing was written")
            raise typer.Exit(INTERRUPTED) from None
        again = shlex.join(["lightcars", "finetune", str(data), "--out", str(folder), "--resume"])
        complain(f"\nstopped; go on with: {again}")
        raise typer.Exit(INTERRUPTED) from None


def as_plain(result: FinetuneResult) -> dict[str, Any]:
    """The result for scripts."""
    return {"run": str(result.run), **result.metrics}


def say(result: FinetuneResult) -> None:
    """The result for people."""
    metrics = result.metrics
    page = result.run / "report.html"
    typer.echo(
        f"best epoch {metrics['best_epoch']:.0f} of {metrics['epochs']:.0f}: val top-1"
        f" {metrics['val_top1_percent']:.2f} %, top-5 {metrics['val_top5_percent']:.2f} %\n"
        f"run folder: {result.run} (curves.png, metrics.csv, best/, last/)\n"
        f"{f'report: {page}{chr(10)}' if page.is_file() else ''}"
        f"next: lightcars predict {result.run} PHOTO..."
    )
