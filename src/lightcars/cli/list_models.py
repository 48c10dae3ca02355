"""`lightcars list`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from typing import Annotated

import typer

from lightcars.benching.choosing import SORT_KEYS, ModelRow, Wanted, choose_models
from lightcars.cli.output import print_json, print_table
from lightcars.errors import ConfigError, UnknownModelError
from lightcars.models.families import FAMILIES

UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
UNKNOWN = "-"


class SortKey(StrEnum):
    """The keys of `SORT_KEYS`."""

    NAME = "name"
    PARAMS = "params"
    FLOPS = "flops"
    ACCURACY = "accuracy"
    LATENCY = "latency"


def _complete_family(incomplete: str) -> list[str]:
    return [name for name in FAMILIES if name.startswith(incomplete)]


def list_models(
    pattern: Annotated[str, typer.Argument(help="Shell pattern, such as 'efficientnet_*'.")] = "*",
    family: Annotated[
        str | None, typer.Option(help="Only models of this family.", autocompletion=_complete_family)
    ] = None,
    max_params: Annotated[str | None, typer.Option(help="At most this many parameters, such as 5M.")] = None,
    max_flops: Annotated[
        str | None, typer.Option(help="At most this many multiply-accumulates, such as 300M or 1.5G.")
    ] = None,
    min_top1: Annotated[
        float | None, typer.Option(help="Published ImageNet top-1 of at least this many percent.")
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(help="Only models with published weights under this license, such as apache-2.0."),
    ] = None,
    available: Annotated[
        bool, typer.Option("--available", help="Only models with published weights on this machine.")
    ] = False,
    sort: Annotated[
        SortKey | None, typer.Option(help="Order of the rows: smallest first, for accuracy highest first.")
    ] = None,
    max_latency: Annotated[
        float | None, typer.Option(help="At most this many milliseconds; measures as --latency does.")
    ] = None,
    latency: Annotated[
        bool,
        typer.Option(
            "--latency", help="Measure each model on this machine, unless it was measured before (slow)."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models with their parameters, multiply-accumulates and published accuracy.

    Counts are for 1000 classes and one image at the model's resolution. The accuracy is the best published
    one of weights trained on ImageNet-1k alone. Latency is that of eager PyTorch on this CPU, one image.

    Example: lightcars list --max-flops 300M --sort accuracy
    """
    wanted = Wanted(
        pattern=pattern,
        family=family,
        max_params=_number("--max-params", max_params),
        max_flops=_number("--max-flops", max_flops),
        min_top1_percent=min_top1,
        license=license,
        available=available,
    )
    rows = choose_models(wanted)
    if not rows:
        raise UnknownModelError(
            f"no model matches {pattern!r}; `lightcars list` shows all."
            if wanted == Wanted(pattern=pattern)
            else "no model matches these options; leave one out, or see `lightcars list`."
        )
    if latency or sort == "latency" or max_latency is not None:
        rows = _with_latencies(rows)
    if max_latency is not None:
        rows = [row for row in rows if row.latency_ms is not None and row.latency_ms <= max_latency]
        if not rows:
            raise UnknownModelError(
                f"no model takes at most {max_latency:g} ms on this machine; raise --max-latency."
            )
    if sort is not None:
        rows = sorted(rows, key=SORT_KEYS[sort])
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        _print(rows)


def _number(option: str, text: str | None) -> float | None:
    """Return the number that "300M" stands for.

    Raises:
        ConfigError: it stands for none.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmg]?)", text.strip().lower())
    if found is None:
        raise ConfigError(f"{option} takes a number such as 5M, 300M or 1.5G, not {text!r}.")
    return float(found[1]) * UNITS[found[2]]


def _with_latencies(rows: Sequence[ModelRow]) -> list[ModelRow]:
    from tqdm import tqdm

    from lightcars.benching.latencies import known_latencies, measure_latencies

    known = known_latencies()
    missing = [row.name for row in rows if row.name not in known]
    with tqdm(total=len(missing), disable=not sys.stderr.isatty(), leave=False, unit="model") as bar:
        for name, latency_ms in measure_latencies(missing):
            known[name] = latency_ms
            bar.update()
    return [replace(row, latency_ms=known[row.name]) for row in rows]


def _print(rows: Sequence[ModelRow]) -> None:
    measured = any(row.latency_ms is not None for row in rows)
    head = ("model", "parameters", "FLOPs", "input", "top-1", *(["latency"] if measured else []), "paper")
    cells = []
    for row in rows:
        top1 = UNKNOWN if row.top1_percent is None else f"{row.top1_percent:.1f} %"
        latency = [UNKNOWN if row.latency_ms is None else f"{row.latency_ms:.1f} ms"] if measured else []
        numbers = (f"{row.num_params / 1e6:.2f} M", f"{row.flops / 1e6:,.0f} M", f"{row.resolution} px", top1)
        cells.append((row.name, *numbers, *latency, row.paper))
    print_table(head, cells, right=("parameters", "FLOPs", "input", "top-1", "latency"))
