"""`lightcars export`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightcars.cli.loading import MODEL_HELP, WEIGHTS_HELP, load_source
from lightcars.cli.output import complain, complete_model
from lightcars.deploy.formats import FORMATS, find_format
from lightcars.errors import ConfigError

if TYPE_CHECKING:
    from lightcars.deploy.export import Exported


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="MODEL", help=MODEL_HELP, autocompletion=complete_model),
    ],
    to: Annotated[
        str, typer.Option(help=f"What for: {', '.join(FORMATS)}.", autocompletion=lambda: list(FORMATS))
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="File to write \\[default: the model's name, in this folder].")
    ] = None,
    weights: Annotated[str | None, typer.Option(help=WEIGHTS_HELP)] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Pixels of the square input \\[default: that of the weights].")
    ] = None,
    any_size: Annotated[bool, typer.Option("--any-size", help="Leave height and width open.")] = False,
    batch: Annotated[int | None, typer.Option(help="Images at once \\[default: any number].")] = None,
    standalone: Annotated[
        bool,
        typer.Option(
            "--standalone",
            help="Also make a folder that predicts with onnxruntime, numpy and Pillow alone.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a model for another engine: run there and compared with PyTorch before it is done.

    Class names and preprocessing go into the file.

    Example: lightcars export runs/first --to onnx --standalone
    """
    from lightcars.deploy.export import InputSize
    from lightcars.deploy.export import export as run_export

    kind = find_format(to)
    size = InputSize(batch=batch, resolution=resolution, any_size=any_size)
    target = out or Path(_name_of(source) + kind.suffix)
    if target.suffix != kind.suffix:
        raise ConfigError(f"a file for {kind.engine} ends in {kind.suffix}, not as {target}; change --out.")
    model = load_source(source, weights)
    done = run_export(model, target, size=size, standalone=standalone, force=force, say=complain)
    if model.classes is None or model.preprocessing is None:
        complain("note: these weights do not say their class names or preprocessing; nor does the file.")
    if as_json:
        typer.echo(json.dumps(_plain(done), indent=2, ensure_ascii=False))
    else:
        _say(done)


def _name_of(source: str) -> str:
    """What a file made from `source` is called."""
    return Path(source).resolve().name if Path(source).is_dir() else source.rpartition("/")[2]


def _plain(done: Exported) -> dict[str, Any]:
    return {
        **asdict(done),
        "path": str(done.path),
        "standalone": None if done.standalone is None else str(done.standalone),
    }


def _say(done: Exported) -> None:
    shapes = ", ".join(" x ".join(map(str, shape)) for shape in done.compared)
    typer.echo(f"{done.path}: {done.size_bytes / 1e6:.1f} MB")
    typer.echo(
        f"{done.engine} differs from PyTorch by {done.difference:.1e} of the largest logit at most, on images"
        f" of {shapes}"
    )
    if done.standalone is not None:
        typer.echo(f"standalone: python {done.standalone / 'predict.py'} photo.jpg")
