"""`lightcars bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightcars.benching.settings import BenchSettings, known_engines
from lightcars.cli.loading import MODEL_HELP, WEIGHTS_HELP, is_registered, load_source
from lightcars.cli.output import INTERRUPTED, complain, complete_model, print_table
from lightcars.deploy.runners import PRECISIONS
from lightcars.errors import ConfigError

if TYPE_CHECKING:
    from lightcars.benching.results import BenchResult
    from lightcars.benching.rows import Accuracy
    from lightcars.models.image_model import ImageModel

NO_FIGURES = 1
"""Exit code where nothing could be measured."""


def bench(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="MODEL", help=MODEL_HELP, autocompletion=complete_model),
    ],
    engines: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Of {', '.join(known_engines())}, with commas \\[default: those installed, but compile]."
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Of {', '.join(PRECISIONS)}, with commas \\[default: fp32, bf16 where the device has it]."
        ),
    ] = None,
    batch: Annotated[
        list[str] | None, typer.Option(help="Images at once: 1,16 \\[default: 1; with --train 16].")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Pixels of the square input \\[default: that of the weights].")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Of the processor \\[default: as many as PyTorch takes].")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1.")] = "cpu",
    train: Annotated[
        bool,
        typer.Option("--train", help="Training steps in PyTorch, in both layouts, in place of predictions."),
    ] = False,
    weights: Annotated[str | None, typer.Option(help=WEIGHTS_HELP)] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of photographs, such as the training data's, for int8.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="For which each is measured, once it is warm.")] = 2.0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw accuracy over latency into this PNG, where one is known.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure models here: latency, throughput, memory and set-up time in each engine.

    Each engine has processes of its own, and its answers are compared with PyTorch's. Memory is what it takes
    beyond Python and PyTorch.

    Example: lightcars bench ghostnet_100 efficientnet_b0 --batch 1,16 --plot speed.png
    """
    from lightcars.plots import check_picture

    settings = BenchSettings(
        engines=_list(engines),
        precisions=_list(precision),
        batches=_numbers(batch),
        resolution=resolution,
        threads=threads,
        device=device,
        train=train,
        calibration=calibration,
        seconds=seconds,
    )
    if plot is not None:
        check_picture(plot)
    try:
        result = _run(list(dict.fromkeys(sources)), weights, settings)
    except KeyboardInterrupt:
        complain("\nstopped; nothing was written")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(result.to_json())
    else:
        _say(result)
    if all(row.latency_ms is None for row in result.rows):
        raise typer.Exit(NO_FIGURES)
    if plot is not None:
        complain(f"plot: {result.draw(plot)}")


def _run(sources: list[str], weights: str | None, settings: BenchSettings) -> BenchResult:
    from lightcars.benching.cases import kinds_here
    from lightcars.benching.run import bench as run_bench

    kinds_here(settings)  # what this machine cannot do, before anything is downloaded
    if weights is not None and not any(map(is_registered, sources)):
        raise ConfigError("--weights goes with names from `lightcars list`; all of these have their own.")
    models, accuracies = {}, {}
    for source in sources:
        models[source] = load_source(source, weights if is_registered(source) else None)
        known = _accuracy(source, models[source])
        if known is not None:
            accuracies[source] = known
    return run_bench(models, settings, accuracies=accuracies, progress=True)


def _accuracy(source: str, model: ImageModel) -> Accuracy | None:
    from lightcars.benching.rows import published_accuracy

    known = published_accuracy(model.origin)
    if known is not None or not Path(source).is_dir():
        return known
    from lightcars.runs.accuracy import recorded_accuracy  # needs the extra, as a run folder does anyway

    return recorded_accuracy(source)


def _list(values: list[str] | None) -> tuple[str, ...] | None:
    """Given several times, with commas, or both."""
    if not values:
        return None
    return tuple(part.strip() for value in values for part in value.split(","))


def _numbers(values: list[str] | None) -> tuple[int, ...] | None:
    parts = _list(values)
    if parts is None:
        return None
    try:
        return tuple(int(part) for part in parts)
    except ValueError as error:
        raise ConfigError(f"--batch takes whole numbers, such as 1,16, not {','.join(parts)}.") from error


def _say(result: BenchResult) -> None:
    from lightcars.benching.results import HEAD

    typer.echo(result.machine)
    for title, rows in result.tables():
        typer.echo(f"\n{title}")
        print_table(HEAD, rows, right=HEAD[1:])
    for problem in result.problems:
        complain(problem)
