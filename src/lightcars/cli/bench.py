"""`lightcars bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightcars.benching.settings import BenchSettings, known_engines
from lightcars.cli.loading import MODEL_HELP, WEIGHTS_HELP, is_registered, load_source
from lightcars.cli.output import INTERRUPTED, complain, complete_model, print_table
from lightcars.deploy.runners import ENGINE_PRECISIONS
from lightcars.errors import ConfigError
from lightcars.outputs import FORCE_HELP, check_output_file

if TYPE_CHECKING:
    from lightcars.benching.results import BenchResult
    from lightcars.benching.rows import Accuracy
    from lightcars.models.image_model import ImageModel

NOTHING_MEASURED = 1
"""Exit code where nothing could be measured."""


def bench(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="MODEL", help=MODEL_HELP, autocompletion=complete_model),
    ],
    engines: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(known_engines())}, comma-separated \\[default: all installed except compile]."
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(ENGINE_PRECISIONS)}; comma-separated \\[default: fp32, and bf16 if supported]."
        ),
    ] = None,
    batch: Annotated[
        list[str] | None,
        typer.Option("--batch-size", help="Comma-separated, such as 1,16 \\[default: 1; 16 with --train]."),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Side of the square input in pixels \\[default: the weights' own].")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads \\[default: PyTorch's own number].")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1.")] = "cpu",
    train: Annotated[
        bool,
        typer.Option("--train", help="Measure training steps in PyTorch, in both memory formats."),
    ] = False,
    weights: Annotated[str | None, typer.Option(help=WEIGHTS_HELP)] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of images to calibrate int8 on, such as the training data.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Duration of each measurement in seconds, after a warm-up.")
    ] = 2.0,
    plot: Annotated[Path | None, typer.Option(help="Plot accuracy against latency to this PNG.")] = None,
    force: Annotated[bool, typer.Option("--force", help=FORCE_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure latency, throughput, memory and set-up time of models in each engine.

    Each engine runs in its own process, and its outputs are compared with PyTorch's. Memory is what it needs
    beyond Python and PyTorch.

    Example: lightcars bench ghostnet_100 efficientnet_b0 --batch-size 1,16 --plot speed.png
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
        check_output_file(plot, inputs=[*sources, *([calibration] if calibration else [])], force=force)
    try:
        result = _run(list(dict.fromkeys(sources)), weights, settings)
    except KeyboardInterrupt:
        complain("\nstopped; nothing was written")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(result.to_json())
    else:
        _print(result)
    if all(row.latency_ms is None for row in result.rows):
        raise typer.Exit(NOTHING_MEASURED)
    if plot is not None:
        complain(f"plot: {result.draw(plot)}")


def _run(sources: list[str], weights: str | None, settings: BenchSettings) -> BenchResult:
    from lightcars.benching.cases import available_kinds
    from lightcars.benching.run import bench as run_bench

    available_kinds(settings)  # fails on what this machine does not support, before anything is downloaded
    if weights is not None and not any(map(is_registered, sources)):
        raise ConfigError(
            "--weights is for names from `lightcars list`, and all of these models have weights of their"
            " own; leave it out."
        )
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
    """Split a comma-separated option, which may be repeated."""
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
        raise ConfigError(
            f"--batch-size takes whole numbers, such as 1,16, not {','.join(parts)}."
        ) from error


def _print(result: BenchResult) -> None:
    from lightcars.benching.results import HEAD

    typer.echo(result.machine)
    for title, rows in result.tables():
        typer.echo(f"\n{title}")
        print_table(HEAD, rows, right=HEAD[1:])
    for problem in result.problems:
        complain(problem)
