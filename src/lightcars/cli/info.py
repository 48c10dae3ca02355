"""`lightcars info`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from lightcars.cli.loading import MODEL_HELP, is_source, load_source
from lightcars.cli.output import complete_model, print_json
from lightcars.errors import ConfigError


def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP, autocompletion=complete_model)],
    resolution: Annotated[
        int | None, typer.Option(help="Side of the square input in pixels \\[default: the model's].")
    ] = None,
    num_classes: Annotated[int | None, typer.Option(help="Number of classes \\[default: 1000].")] = None,
    img_channels: Annotated[int | None, typer.Option(help="Input channels \\[default: 3].")] = None,
    backward: Annotated[bool, typer.Option("--backward", help="Count the backward pass too.")] = False,
    latency: Annotated[
        bool,
        typer.Option("--latency", help="Measure latency too, and its share of this machine's peak."),
    ] = False,
    depth: Annotated[int, typer.Option(min=0, help="Levels of layers to show.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Show the cost of a model: parameters, FLOPs, memory, layer by layer.

    A name from `lightcars list` needs no data and no weights. FLOPs are multiply-accumulates, as in the
    papers. --latency runs the model in PyTorch on the CPU; `lightcars bench` compares engines, batches and
    training steps.

    Example: lightcars info efficientnet_b3 --resolution 224 --depth 1
    """
    from lightcars.counters.profile import profile
    from lightcars.zoo import create_model

    wanted = {"resolution": resolution, "num_classes": num_classes, "img_channels": img_channels}
    changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    if is_source(model) and changes:
        raise ConfigError(f"{model} has its own resolution, classes and channels; leave those options out.")
    if is_source(model):
        network = load_source(model, None)
    else:
        network = create_model(model, device="cpu" if latency else "meta", **changes)
    profiled = profile(network, backward=backward, latency=latency)
    if as_json:
        about = {"name": model, "config": asdict(network.config)}
        print_json(about | json.loads(profiled.to_json()))
    elif markdown:
        typer.echo(profiled.to_markdown(depth=depth), nl=False)
    else:
        typer.echo(f"{model}\n\n{profiled.to_text(depth=depth)}")
