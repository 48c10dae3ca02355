"""The command-line options that every benchmark has."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=rounds, help=f"rounds of all sides (default {rounds})")
    options.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    options.add_argument(
        "--out", type=Path, help="JSON file (default benchmarks/results/NAME.json; with --quick none)"
    )
    options.add_argument(
        "--patience",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="total time for repeating measurements that other processes disturbed (default 120)",
    )
    options.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    return options


def driver_arguments(
    options: argparse.ArgumentParser, serve_task: Callable[[Any], None]
) -> argparse.Namespace:
    """Parse the arguments of the driving process; a worker process serves its task here and exits.

    `--quick` means one round and no patience.
    """
    arguments = options.parse_args()
    if arguments.worker is not None:
        serve_task(arguments.worker)
        raise SystemExit
    if arguments.quick:
        arguments.rounds, arguments.patience = 1, 0.0
    return arguments
