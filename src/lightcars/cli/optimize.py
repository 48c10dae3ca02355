"""`lightcars optimize`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightcars.cli.loading import MODEL_HELP, WEIGHTS_HELP, load_source
from lightcars.cli.output import INTERRUPTED, complain, complete_model, print_json, print_table
from lightcars.deploy.runners import ENGINE_PRECISIONS, ENGINES
from lightcars.text import rounded

if TYPE_CHECKING:
    from lightcars.deploy.optimized import OptimizedModel


def optimize(
    source: Annotated[
        str,
        typer.Argument(metavar="MODEL", help=MODEL_HELP, autocompletion=complete_model),
    ],
    batch: Annotated[int, typer.Option("--batch-size", help="Batch size.")] = 1,
    input_size: Annotated[
        int | None,
        typer.Option(
            "--resolution", help="Side of the square input in pixels \\[default: the weights' own]."
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help=f"auto, {', '.join(ENGINES)}.")] = "auto",
    precision: Annotated[str, typer.Option(help=f"auto, {', '.join(ENGINE_PRECISIONS)}.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads \\[default: PyTorch's own number].")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of images to calibrate int8 on, such as the training data.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help=WEIGHTS_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the fastest engine for a model on this machine, of those whose outputs match PyTorch's.

    The choice is cached, so that `lightcars.optimize(model)` in Python starts at once.

    Example: lightcars optimize runs/first --batch-size 16
    """
    from lightcars.deploy.optimize import optimize as run_optimize

    model = load_source(source, weights)
    try:
        fast = run_optimize(
            model,
            batch,
            resolution=input_size,
            engine=engine,
            precision=precision,
            threads=threads,
            calibration=calibration,
        )
    except KeyboardInterrupt:
        complain("\nstopped; nothing was cached")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(_plain(source, fast))
    else:
        _print(source, fast)


def _plain(source: str, fast: OptimizedModel) -> dict[str, Any]:
    return {
        "model": source,
        "engine": fast.engine,
        "precision": fast.precision,
        "batch": fast.batch,
        "resolution": fast.resolution,
        "threads": fast.threads,
        "latency_ms": fast.latency_ms,
        "eager_ms": fast.eager_ms,
        "untrained": fast.untrained,
        "from_cache": fast.from_cache,
        "measurements": fast.measurements.to_record(),
    }


def _print(source: str, fast: OptimizedModel) -> None:
    from lightcars.deploy.optimized import UNTRAINED_NOTE

    threads = f"{fast.threads} thread{'' if fast.threads == 1 else 's'}"
    typer.echo(f"{source}, {fast.batch} x {fast.resolution} px, {threads}{', cached' * fast.from_cache}")
    print_table(fast.measurements.HEAD, fast.measurements.cells(), right=("ms per batch",))
    typer.echo(
        f"\nfastest: {fast.engine} in {fast.precision}, {rounded(fast.latency_ms)} ms per batch"
        f" (eager PyTorch: {rounded(fast.eager_ms)} ms)"
    )
    if fast.untrained:
        complain(f"note: {UNTRAINED_NOTE}.")
