"""`lightcars report`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightcars.cli.output import complain, print_json
from lightcars.outputs import FORCE_HELP, check_output_file
from lightcars.runs.selection import shown_split, shows_top5

if TYPE_CHECKING:
    from lightcars.reports import Report


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of `lightcars finetune`.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Path of the page \\[default: report.html in the run folder, for a single run]."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with the images \\[default: the one that the run was trained on]."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="For missing predictions: cpu, cuda, ... \\[default: cuda if available]."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help=FORCE_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print path and key metrics as JSON.")] = False,
) -> None:
    """Write one HTML page about a run, or several side by side: curves, hard classes, mistakes, calibration.

    With --data, missing predictions are computed from the images there.

    Example: lightcars report runs/first runs/second --out compared.html
    """
    from lightcars.reports import write_report
    from lightcars.reports.run_metrics import Source
    from lightcars.runs.folder import RunFolder

    if out is not None:
        own = [run for run in runs if out.resolve() != RunFolder(run).report.resolve()]
        inputs = [*own, *([] if data is None else [data])]
        check_output_file(out, suffixes=(".html", ".htm"), inputs=inputs, force=force)
    done = write_report(runs, out, Source(data=data, device=device, progress=True))
    for note in done.notes:
        complain(f"note: {note}")
    if as_json:
        content = {"report": str(done.path), **asdict(done)}
        del content["path"]
        print_json(content)
        return
    _say(done)


def _say(done: Report) -> None:
    for run in done.runs:
        if run.best_epoch is None:
            typer.echo(f"{run.run}: {run.model}, no epoch has finished yet")
            continue
        split = shown_split(run.selected_on)
        top5 = f", top-5 {run.val_top5_percent:.2f} %" if shows_top5(run.num_classes) else ""
        typer.echo(
            f"{run.run}: {run.model}, best epoch {run.best_epoch} of {run.epochs},"
            f" {split} top-1 {run.val_top1_percent:.2f} %{top5}"
        )
    if done.comparison is not None:
        numbers, note = done.comparison, next((run.note for run in done.runs if run.note), None)
        typer.echo(
            f"of {numbers.num_images} images every run gets {numbers.right_in_every_run} right and"
            f" {numbers.wrong_in_every_run} wrong{f' ({note})' if note else ''}"
        )
    typer.echo(f"report: {done.path}")
