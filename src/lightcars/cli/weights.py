"""`lightcars weights`."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from lightcars.cli.help import HelpfulGroup
from lightcars.cli.output import complain, complete_model, print_json, print_table

UNKNOWN = "unknown"


class _ListByDefault(HelpfulGroup):
    """`lightcars weights MODEL` is `lightcars weights list MODEL`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(
    cls=_ListByDefault,
    help="List published weights by their tag, which `weights=` takes, or verify them: load, check their"
    " digest, classify labeled images. Both print JSON with --json. `lightcars weights MODEL` lists those of"
    " one model."
    "\n\nExample: lightcars weights efficientnet_b0, or lightcars weights verify efficientnet_lite0",
)


@app.command(name="list")
def list_published(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="Name from `lightcars list`, a tag, or a run folder \\[default: all models].",
            autocompletion=complete_model,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with everything that is known.")
    ] = False,
) -> None:
    """List the published weights by their tag, which `weights=` takes.

    Weights pinned by a digest or a commit are always the same file; of others, the newest one is downloaded.
    Accuracies are the published ones at the resolution shown, on ImageNet-1k unless the tag names other data.

    Example: lightcars weights efficientnet_b0
    """
    from lightcars.weights.catalog import WeightsEntry, list_weights

    model = None if model is None else _name(model)
    entries = list_weights(model)
    if as_json:
        print_json([_plain(entry) for entry in entries])
        return

    def row(entry: WeightsEntry) -> tuple[str, ...]:
        size = UNKNOWN if entry.size_mb is None else f"{entry.size_mb:.0f} MB"
        top1 = UNKNOWN if entry.top1_percent is None else f"{entry.top1_percent:.1f} %"
        pixels = f"{entry.preprocessing.resolution} px"
        shown = (entry.tag, top1, pixels, size, entry.license or UNKNOWN)
        return shown if model is None else (*shown, entry.pin)

    if not entries:
        typer.echo(f"there are no published weights of {model}; use your own folder or file")
        return
    print_table(
        ("tag", "top-1", "input", "size", "license", *(() if model is None else ("pinned by",))),
        [row(entry) for entry in entries],
        right=("top-1", "input", "size"),
    )


def _name(model: str) -> str:
    """Return the registered name that a name, a tag or a run folder means; an unknown one as it is."""
    from lightcars.runs.folder import RunFolder
    from lightcars.weights.catalog import find_tag

    entry = find_tag(model)
    if entry is not None:
        return entry.model
    return RunFolder(Path(model)).read().model.name if Path(model).is_dir() else model


@app.command()
def verify(
    model: Annotated[str, typer.Argument(help="Name from `lightcars list`.", autocompletion=complete_model)],
    weights: Annotated[str, typer.Option(help="Tag of `lightcars weights MODEL`.")] = "imagenet",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Also classify the images in this folder; subfolders or file names give the classes."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load published weights, verify their digest, and classify labeled images.

    Labels come from the images' subfolders or file names: class names, or WordNet IDs for ImageNet.

    Example: lightcars weights verify efficientnet_lite0 --data imagenet1000
    """
    from lightcars.evaluation.weights_check import check_weights

    found = check_weights(model, weights, data=data, progress=True)
    for problem in found.broken:
        complain(f"warning: skipped: {problem}")
    if as_json:
        typer.echo(found.to_json())
        return
    typer.echo(f"{found.tag}: loaded, {found.pinned_by}")
    published = found.published_top1_percent
    stated = "unknown" if published is None else f"{published:.1f} % on {found.published_data}"
    if found.top1_percent is not None:
        typer.echo(
            f"{found.num_images} images: top-1 {found.top1_percent:.1f} % ({found.num_right} right),"
            f" top-5 {found.top5_percent:.1f} %"
        )
    typer.echo(f"published top-1: {stated}")


def _plain(entry: Any) -> dict[str, Any]:
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    return {
        **values,
        "pin": entry.pin,
        "settings": dict(entry.settings),
        "preprocessing": asdict(entry.preprocessing),
    }
