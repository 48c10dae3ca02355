"""`lightcars data`: inspect, prepare, stats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightcars.cli.output import INTERRUPTED, complain, print_json, print_line, print_table

if TYPE_CHECKING:
    from lightcars.data.inspection import Inspection
    from lightcars.data.preparation import Prepared

SHOWN = 10
"""Maximum number of lines of a list that are printed; --json has all of them."""

data = typer.Typer(
    help="Inspect a folder of images, convert it to class folders, compute its statistics.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@data.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="Folder with the images, in any layout.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all lists in full.")] = False,
) -> None:
    """Read every image once; show splits, classes, sizes, statistics and problems.

    Problems are files that cannot be read or are not used, duplicate images (above all in train and test),
    boxes outside of their image, classes with no or few images, and counts that differ from Stanford Cars.

    Example: lightcars data inspect cars
    """
    from lightcars.data.inspection import inspect_data

    found = inspect_data(path, progress=True)
    if as_json:
        print_json(asdict(found))
    else:
        _print_inspection(found)


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
    """Convert a data set in any layout to train/<class>/ and test/<class>/; image files are not re-encoded.

    Boxes go to annotations.csv, which every command reads. Files are hard links where possible. The new
    folder appears only when it is complete. Only hf:owner/name downloads anything.

    Example: lightcars data prepare cars.zip cars
    """
    from lightcars.data.preparation import prepare as run_prepare

    try:
        prepared = run_prepare(source, target, progress=True)
    except KeyboardInterrupt:
        complain(f"\nstopped; {target} was not written")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json({**asdict(prepared), "root": str(prepared.root)})
    else:
        _print_prepared(prepared)


@data.command()
def stats(
    path: Annotated[Path, typer.Argument(help="Folder with the images, in any layout.")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    gray: Annotated[bool, typer.Option("--gray", help="Statistics of the grayscale images.")] = False,
    region: Annotated[
        str, typer.Option(help="whole, box (crop to it) or masked (white outside of it).")
    ] = "whole",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute mean and standard deviation of each channel, for the preprocessing of a model.

    Values are in [0, 1]. Every image has the same weight, whatever its size.

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
        complain(f"warning: skipped: {problem}")
    if as_json:
        print_json({"split": split, "gray": gray, "region": region, **asdict(found)})
        return
    typer.echo(f"{split}: {found.num_images:,} images")
    typer.echo(f"mean {_row(found.mean)}\nstd  {_row(found.std)}")


def _print_inspection(found: Inspection) -> None:
    print_line(f"{found.root}: {found.layout}, {found.num_classes} classes")
    print_table(
        ("split", "images", "classes", "boxes", "gray", "bad"),
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
        right=("images", "classes", "boxes", "gray", "bad"),
    )
    typer.echo()
    sizes = [("width", found.width), ("height", found.height)]
    print_table(
        ("pixels", "min", "median", "max"),
        [(name, str(low), f"{middle:g}", str(high)) for name, (low, middle, high) in sizes],
        right=("min", "median", "max"),
    )
    typer.echo()
    kinds = (("RGB", found.rgb), ("gray", found.gray))
    channels = [(f"{kind} of {found.measured_split}", values) for kind, values in kinds]
    print_table(
        ("channels", "mean", "std"), [(name, _row(each.mean), _row(each.std)) for name, each in channels]
    )
    problems = _problems(found)
    typer.echo("\nno problems found" if not problems else "")
    for title, lines in problems:
        typer.echo(title)
        _print_lines(lines)


def _problems(found: Inspection) -> list[tuple[str, list[str]]]:
    """Return the kinds of problems that were found, with a line for each problem."""
    leaks = found.leaks
    mislabeled = [group for group in found.duplicates if len(group.classes) > 1]
    inside = [group for group in found.duplicates if len(group.splits) == len(group.classes) == 1]
    absent, thin = found.absent_classes, found.thin_classes
    first = found.splits[0].name
    lists: list[tuple[str, Iterable[str]]] = [
        ("counts that differ from Stanford Cars:", found.mismatches),
        ("not used:", found.notes),
        (f"files that cannot be read ({len(found.broken)}):", found.broken),
        (f"boxes outside of their image ({len(found.wrong_boxes)}):", found.wrong_boxes),
        (
            f"LEAK: the same file in more than one split ({len(leaks)}):",
            (f"{' and '.join(group.splits)}: {' = '.join(group.paths)}" for group in leaks),
        ),
        (
            f"the same file with different classes ({len(mislabeled)}):",
            (f"{' and '.join(group.classes)}: {' = '.join(group.paths)}" for group in mislabeled),
        ),
        (
            f"the same file more than once in a split ({len(inside)}):",
            (" = ".join(group.paths) for group in inside),
        ),
        (f"classes without images in {first} ({len(absent)}):", absent),
        (
            f"classes with few images in {first} ({len(thin)}):",
            (f"{name}: {number}" for name, number in thin.items()),
        ),
    ]
    listed = [(title, list(lines)) for title, lines in lists]
    return [(title, lines) for title, lines in listed if lines]


def _print_lines(lines: list[str]) -> None:
    for line in lines[:SHOWN]:
        print_line(f"  {line}")
    if len(lines) > SHOWN:
        typer.echo(f"  and {len(lines) - SHOWN:,} more; --json lists all")


def _print_prepared(prepared: Prepared) -> None:
    counts = ", ".join(f"{split} {number:,}" for split, number in prepared.num_images.items())
    boxes = f", {prepared.num_boxes:,} boxes" if prepared.num_boxes else ""
    typer.echo(
        f"{prepared.root}: {counts} images of {prepared.num_classes} classes{boxes}, from {prepared.layout}"
    )
    for note in (*prepared.mismatches, *prepared.notes):
        complain(f"warning: {note}")


def _row(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
