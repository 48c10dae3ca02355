"""`lightcars convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lightcars.cli.output import complete_model, print_json
from lightcars.errors import ConfigError
from lightcars.models.families import source_names
from lightcars.outputs import FORCE_HELP


def convert(
    source: Annotated[
        str, typer.Argument(help="Folder, .safetensors or .pth file, tag of `lightcars weights`, or Hub ID.")
    ],
    target: Annotated[
        Path, typer.Argument(help="Folder (--to lightcars), or file ending in .safetensors or .pth.")
    ],
    to: Annotated[
        str | None,
        typer.Option(
            help=f"Library whose tensor names to use: lightcars, {', '.join(source_names())}"
            " \\[default: the names stay; only the file format changes]."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model that the weights belong to \\[default: identified].", autocompletion=complete_model
        ),
    ] = None,
    tensorflow: Annotated[
        bool | None,
        typer.Option(
            "--tensorflow/--native",
            help="For weights with timm's names, which do not tell them apart: TensorFlow's form (SAME"
            " padding,"
            " eps 1e-3) or PyTorch's own (symmetric padding, eps 1e-5).",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help=FORCE_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Turn weights of one library into those of another, or a .pth file into safetensors.

    Nothing in a .pth file is executed.

    Example: lightcars convert runs/first/best for_timm.safetensors --to timm
    """
    from lightcars.models.tensor_names import NATIVE, TENSORFLOW
    from lightcars.weights.conversion import convert_weights

    changes: dict[str, Any] = {}
    if tensorflow is not None:
        if to is None:
            raise ConfigError("--tensorflow and --native say how to read the weights for --to; give it too.")
        changes = dict((TENSORFLOW if tensorflow else NATIVE).settings)
    done = convert_weights(source, target, to=to, model=model, changes=changes, force=force)
    if as_json:
        print_json({"target": str(target), "tensors": done.tensors, "model": done.model, "to": done.to})
    else:
        typer.echo(f"{done.tensors} tensors of {done.model or source} with the names of {done.to}: {target}")
