"""`lightcars export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from lightcars.cli.export_web import WEB, WebSettings, export_page
from lightcars.cli.loading import MODEL_HELP, WEIGHTS_HELP, load_source
from lightcars.cli.output import complain, complete_model, print_json
from lightcars.deploy.formats import FORMATS, ExportPrecision, check_precision, find_format
from lightcars.errors import ConfigError
from lightcars.outputs import FORCE_HELP, check_output_folder

if TYPE_CHECKING:
    from lightcars.deploy.export import Exported
    from lightcars.models.car_finder import CarFinder
    from lightcars.models.image_model import ImageModel

WEB_PANEL = "Web page (--to web)"


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="MODEL", help=MODEL_HELP, autocompletion=complete_model),
    ],
    target: Annotated[
        Path | None,
        typer.Argument(metavar="[OUT]", help="File to write, or folder of a web page; the same as --out."),
    ] = None,
    to: Annotated[
        str,
        typer.Option(help=f"Format: {', '.join((*FORMATS, WEB))}.", autocompletion=lambda: [*FORMATS, WEB]),
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(help="The same as OUT \\[default: the model's name, in the current folder]."),
    ] = None,
    weights: Annotated[str | None, typer.Option(help=WEIGHTS_HELP)] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Side of the square input in pixels \\[default: the weights' own].")
    ] = None,
    any_size: Annotated[bool, typer.Option("--any-size", help="Make height and width dynamic.")] = False,
    batch: Annotated[
        int | None, typer.Option("--batch-size", help="Batch size \\[default: dynamic].")
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="Precision of the weights in the file: fp32, fp16, or int8 with --calibration.",
            autocompletion=lambda: list(get_args(ExportPrecision)),
        ),
    ] = "fp32",
    calibration: Annotated[
        Path | None,
        typer.Option(help="Folder of images to calibrate int8 on, such as the training data."),
    ] = None,
    standalone: Annotated[
        bool,
        typer.Option(
            "--standalone",
            help="Also write a folder that predicts with onnxruntime, numpy and Pillow only.",
        ),
    ] = False,
    title: Annotated[
        str | None, typer.Option(help="Title of the web page.", rich_help_panel=WEB_PANEL)
    ] = None,
    color: Annotated[
        str | None,
        typer.Option(
            help="Color of the page's buttons and icons, such as #0b6e4f.", rich_help_panel=WEB_PANEL
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="JSON file with other texts for the page, or another language.", rich_help_panel=WEB_PANEL
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Weights in the file: int8, fp16 or fp32; browsers compute in fp32 \\[default: int8].",
            rich_help_panel=WEB_PANEL,
        ),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            help="npm package of ONNX Runtime Web, as a folder or .tgz \\[default: downloaded once].",
            rich_help_panel=WEB_PANEL,
        ),
    ] = None,
    cdn: Annotated[
        bool,
        typer.Option(
            "--cdn", help="Let the page load ONNX Runtime Web from a public CDN.", rich_help_panel=WEB_PANEL
        ),
    ] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the page after writing it.", rich_help_panel=WEB_PANEL)
    ] = False,
    force: Annotated[bool, typer.Option("--force", help=FORCE_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Export a model to another format, and verify that its outputs match PyTorch's.

    Class names and preprocessing are stored in the file. A web page is a folder for any static host.

    Example: lightcars export runs/first --to onnx --standalone,
    or lightcars export runs/first --to openvino --precision int8 --calibration data/train

    Example: lightcars export cars196 --to web site
    """
    from lightcars.deploy.export import export as run_export
    from lightcars.deploy.export_plan import InputSize

    if target is not None and out is not None:
        raise ConfigError(f"the output is named twice, as {target} and as {out}; name it once.")
    out = out or target
    web = WebSettings(
        title=title, color=color, texts=texts, runtime=runtime, cdn=cdn, storage=storage, serve=serve
    )
    if to == WEB:
        others = (batch, resolution, any_size, standalone, calibration, precision != "fp32")
        if any(others):
            raise ConfigError(
                "a web page takes one image at a time, at the weights' own resolution; leave out"
                " --batch-size, --resolution, --any-size, --standalone, --precision and --calibration"
                " (--storage sets the precision of its weights)."
            )
        folder = out or Path(f"{_name_of(source)}-web")
        check_output_folder(folder, inputs=[source, *filter(None, (texts, runtime))], force=force)
        model = load_source(source, weights)
        finder = _finder(source, weights, model)
        export_page(model, folder, web, finder=finder, force=force, as_json=as_json)
        return
    web.check_unused()
    kind = find_format(to, (WEB,))
    size = InputSize(batch=batch, resolution=resolution, any_size=any_size)
    target = out or Path(_name_of(source) + kind.suffix)
    if target.suffix != kind.suffix:
        raise ConfigError(
            f"a file for {kind.engine} has the suffix {kind.suffix}, {target} does not; change --out."
        )
    check_precision(kind, precision)
    model = load_source(source, weights)
    finder = _finder(source, weights, model) if standalone else None
    exported = run_export(
        model,
        target,
        size=size,
        precision=precision,
        calibration=calibration,
        standalone=standalone,
        finder=finder,
        force=force,
        say=complain,
    )
    if model.classes is None or model.preprocessing is None:
        complain(
            "note: these weights have no class names or no preprocessing, so the exported file lacks them"
            " too."
        )
    if as_json:
        print_json(_plain(exported))
    else:
        _print(exported)


def _finder(source: str, weights: str | None, model: ImageModel) -> CarFinder | None:
    """Return the car finder that `predict` takes for these weights, if it takes one."""
    import torch

    from lightcars.runs.trained import expects_cut_cars
    from lightcars.weights.car_finder import load_car_finder

    if model.classes is None or not expects_cut_cars(weights or source, model.classes):
        return None
    return load_car_finder(torch.device("cpu"))


def _name_of(source: str) -> str:
    """Return the default name of a file exported from `source`."""
    return Path(source).resolve().name if Path(source).is_dir() else source.rpartition("/")[2]


def _plain(exported: Exported) -> dict[str, Any]:
    return {
        **asdict(exported),
        "path": str(exported.path),
        "standalone": None if exported.standalone is None else str(exported.standalone),
    }


def _print(exported: Exported) -> None:
    shapes = ", ".join(" x ".join(map(str, shape)) for shape in exported.compared)
    precision = "" if exported.precision == "fp32" else f", {exported.precision}"
    typer.echo(f"{exported.path}: {exported.size_bytes / 1e6:.1f} MB{precision}")
    typer.echo(
        f"{exported.engine} differs from PyTorch by at most {exported.difference:.1e} of the largest logit,"
        f" for images of {shapes}"
    )
    if exported.top1_change_percent is not None:
        typer.echo(f"top-1 changes by {exported.top1_change_percent:+.2f} points on the calibration images")
    if exported.standalone is not None:
        typer.echo(f"standalone: python {exported.standalone / 'predict.py'} car.jpg")
