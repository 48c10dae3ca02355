"""`lightcars data`: inspect, prepare, stats."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightcars.cli.output import INTERRUPTED, complain, print_table

if TYPE_CHECKING:
    from lightcars.data.inspection import Inspection
    from lightcars.data.preparation import Prepared

SHOWN = 10
"""Lines of a list that are printed; --json has all of them."""

data = typer.Typer(
    help="Look at a folder of photographs, make class folders of it, compute its statistics.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@data.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="Folder with the photographs, in any layout.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all lists in full.")] = False,
) -> None:
    """Read every photograph once; say what is there (splits, classes, sizes, statistics) and what is wrong.

    Wrong are files that cannot be read, photographs that are there twice (in train and test!), boxes outside
    of their photograph, absent and thin classes, and counts other than Stanford Cars'.

    Example: lightcars data inspect cars
    """
    from lightcars.data.inspection import inspect_data

    found = inspect_data(path, progress=True)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False))
    else:
        _say(found)


@data.command()
def prepare(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder in any layout, .tgz, .tar or .zip archive, folder with archives, or hf:owner/name."
        ),
    ],
    target: Annotated[Path, typer.Argument(help="The new folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a folder with train/<class>/ and test/<class>/ of whatever you have; nothing is encoded anew.

    Boxes go to annotations.csv, which every command reads. Files are hard links where that is possible. The
    new folder is there when it is complete, and not before. Only hf:owner/name downloads anything.

    Example: lightcars data prepare cars.zip cars
    """
    from lightcars.data.preparation import prepare as run_prepare

    try:
        made = run_prepare(source, target, progress=True)
    except KeyboardInterrupt:
        complain(f"\nstopped; {target} was not made")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(json.dumps({**asdict(made), "root": str(made.root)}, indent=2, ensure_ascii=False))
    else:
        _say_prepared(made)


@data.command()
def stats(
    path: Annotated[Path, typer.Argument(help="Folder with the photographs, in any layout.")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    gray: Annotated[bool, typer.Option("--gray", help="Of one channel, as models with one take.")] = False,
    region: Annotated[
        str, typer.Option(help="whole, box (cut to it) or masked (the rest is white).")
    ] = "whole",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute mean and standard deviation of each channel, for the preprocessing of a model.

    Values are in [0, 1]. Every photograph weighs the same, whatever its size.

    Example: lightcars data stats cars --split train --gray
    """
    from lightcars.data.inspection import channel_statistics
    from lightcars.data.layouts import find_data

    found = channel_statistics(
        find_data(path).split(split),
        img_channels=1 if gray else 3,
        region=region,  # type: ignore[arg-type]  # checked there
        progress=True,
    )
    for problem in found.broken:
        complain(f"warning: left out: {problem}")
    if as_json:
        typer.echo(json.dumps({"split": split, "gray": gray, "region": region, **asdict(found)}, indent=2))
        return
    typer.echo(f"{split}: {found.num_images:,} photographs")
    typer.echo(f"mean {_row(found.mean)}\nstd  {_row(found.std)}")


def _say(found: Inspection) -> None:
    typer.echo(f"{found.root}: {found.layout}, {found.num_classes} classes")
    print_table(
        ("split", "photographs", "classes", "boxes", "gray", "bad"),
        [
            (
                split.name,
                f"{split.num_images:,}",
                str(split.num_classes),
                f"{split.num_boxes:,}",
                str(split.num_gray),
                str(split.num_broken),
            )
            for split in found.splits
        ],
        right=("photographs", "classes", "boxes", "gray", "bad"),
    )
    typer.echo()
    sizes = [("width", found.width), ("height", found.height)]
    print_table(
        ("pixels", "least", "median", "most"),
        [(name, str(least), f"{middle:g}", str(most)) for name, (least, middle, most) in sizes],
        right=("least", "median", "most"),
    )
    typer.echo()
    kinds = (("RGB", found.rgb), ("gray", found.gray))
    channels = [(f"{kind} of {found.measured_split}", of) for kind, of in kinds]
    print_table(
        ("channels", "mean", "std"), [(name, _row(each.mean), _row(each.std)) for name, each in channels]
    )
    problems = _problems(found)
    typer.echo("\nnothing is wrong" if not problems else "")
    for title, lines in problems:
        typer.echo(title)
        _say_lines(lines)


def _problems(found: Inspection) -> list[tuple[str, list[str]]]:
    """Each kind of problem that there is, with its lines."""
    leaks = found.leaks
    mislabeled = [group for group in found.duplicates if len(group.classes) > 1]
    inside = [group for group in found.duplicates if len(group.splits) == len(group.classes) == 1]
    absent, thin = found.absent_classes, found.thin_classes
    first = found.splits[0].name
    lists: list[tuple[str, Iterable[str]]] = [
        ("counts other than Stanford Cars':", found.mismatches),
        ("left out:", found.notes),
        (f"files that cannot be read ({len(found.broken)}):", found.broken),
        (f"boxes outside of their photograph ({len(found.wrong_boxes)}):", found.wrong_boxes),
        (
            f"LEAK: the same bytes in more than one split ({len(leaks)}):",
            (f"{' and '.join(group.splits)}: {' = '.join(group.paths)}" for group in leaks),
        ),
        (
            f"the same bytes with different classes ({len(mislabeled)}):",
            (f"{' and '.join(group.classes)}: {' = '.join(group.paths)}" for group in mislabeled),
        ),
        (
            f"the same bytes more than once in a split ({len(inside)}):",
            (" = ".join(group.paths) for group in inside),
        ),
        (f"classes without a photograph in {first} ({len(absent)}):", absent),
        (
            f"classes with few photographs in {first} ({len(thin)}):",
            (f"{name}: {number}" for name, number in thin.items()),
        ),
    ]
    listed = [(title, list(lines)) for title, lines in lists]
    return [(title, lines) for title, lines in listed if lines]


def _say_lines(lines: list[str]) -> None:
    for line in lines[:SHOWN]:
        typer.echo(f"  {line}")
    if len(lines) > SHOWN:
        typer.echo(f"  and {len(lines) - SHOWN:,} more; --json lists all")


def _say_prepared(made: Prepared) -> None:
    counts = ", ".join(f"{split} {number:,}" for split, number in made.num_images.items())
    boxes = f", {made.num_boxes:,} boxes" if made.num_boxes else ""
    typer.echo(f"{made.root}: {counts} photographs of {made.num_classes} classes{boxes}, from {made.layout}")
    for note in (*made.mismatches, *made.notes):
        complain(f"warning: {note}")


def _row(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
