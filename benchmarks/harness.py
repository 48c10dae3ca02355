"""What the benchmarks share: workers, ratios, the machine's description, tables and JSON.

Machines are noisy and their neighbours are busy, so no benchmark quotes one side's time against another
side's time from another minute: the sides take turns within a round, a round gives one ratio per peer, and
a ratio is quoted with the least and the greatest of its rounds. A ratio is always peer / lightcars: above 1
means that lightcars is faster, or takes less memory. No torch here, so that the driving process stays small:
a process that it starts would inherit its peak of memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from neighbours import Neighbours

OURS = "lightcars"
RESULTS = Path(__file__).parent / "results"

Rounds = list[list[float]]
"""One side's samples, round by round."""


def parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=rounds, help=f"rounds of all sides (default {rounds})")
    made.add_argument("--quick", action="store_true", help="one short round: does it run at all?")
    made.add_argument(
        "--out", type=Path, help="JSON file (default results/NAME.json here; with --quick none)"
    )
    made.add_argument(
        "--patience",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="time spent in all on repeating what other processes disturbed (default 120)",
    )
    made.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    return made


class Worker:
    """A fresh process that runs this benchmark's file with `--worker task` and answers by JSON lines."""

    def __init__(self, script: str, task: Mapping[str, Any]) -> None:
        self._task = task
        self._process = subprocess.Popen(
            [sys.executable, script, "--worker", json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: str) -> Any:
        """The worker's answer; the other workers wait meanwhile."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the worker for {dict(self._task)} ended early; see its error above.")
        return json.loads(line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._process.communicate()


def ask_fresh(script: str, task: Mapping[str, Any]) -> Any:
    """The answer of a process that does this one task."""
    worker = Worker(script, task)
    try:
        return worker.ask("go")
    finally:
        worker.close()


@contextlib.contextmanager
def workers(script: str, tasks: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Worker]]:
    """One worker for each side, all ended afterwards."""
    started: dict[str, Worker] = {}
    try:
        for side, task in tasks.items():
            started[side] = Worker(script, task)
        yield started
    finally:
        for worker in started.values():
            worker.close()


def serve(answer: Callable[[str], Any]) -> None:
    """The other end of `Worker.ask`: answers until the driver hangs up."""
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), flush=True)


def rotated(sides: Sequence[str], turn: int) -> list[str]:
    """The sides in another order each turn, so that none is always first."""
    shift = turn % len(sides)
    return [*sides[shift:], *sides[:shift]]


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def mark_memory() -> int:
    """Starts a measurement of memory: the resident bytes from which `growth_mib` counts."""
    with contextlib.suppress(
        OSError
    ):  # Linux forgets the peak so far; elsewhere an earlier one may hide growth
        Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes()


def growth_mib(mark: int) -> float:
    """Most memory that was resident at once since the mark, less what was resident at the mark."""
    return (_peak_bytes() - mark) / 2**20


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def flat(rounds: Rounds) -> list[float]:
    """All samples of one side."""
    return [sample for samples in rounds for sample in samples]


def summary(rounds: Rounds) -> dict[str, float | int]:
    """Median, extremes and number of one side's samples."""
    samples = flat(rounds)
    return {
        "median": rounded(median(samples)),
        "min": rounded(min(samples)),
        "max": rounded(max(samples)),
        "samples": len(samples),
    }


def ratio(peer: Rounds, ours: Rounds) -> dict[str, float]:
    """peer / ours: median over the turns, its extremes over the rounds, and the ratio of the best samples.

    Both samples of a turn were taken within a moment of each other, so that what slows the machine for a
    while slows both.
    """
    each = [median(a / b for a, b in zip(*samples, strict=True)) for samples in zip(peer, ours, strict=True)]
    return {
        "ratio": rounded(median(a / b for a, b in zip(flat(peer), flat(ours), strict=True))),
        "low": rounded(min(each)),
        "high": rounded(max(each)),
        "best": rounded(min(flat(peer)) / min(flat(ours))),
    }


def compare(sides: Mapping[str, Rounds]) -> dict[str, Any]:
    """Summaries of all sides and the ratio of each peer to lightcars."""
    return {
        "sides": {side: summary(rounds) for side, rounds in sides.items()},
        "peer_over_lightcars": {
            side: ratio(rounds, sides[OURS]) for side, rounds in sides.items() if side != OURS
        },
    }


def rounded(value: float) -> float:
    """Four significant figures: more would be noise."""
    return float(f"{value:.4g}")


def spread(figures: Mapping[str, float]) -> str:
    """`ratio` as text: the ratio and its extremes."""
    return f"{figures['ratio']:.2f} [{figures['low']:.2f} .. {figures['high']:.2f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns two spaces apart, under a line."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def comparison_row(label: Sequence[str], unit: str, figures: Mapping[str, Any]) -> list[list[str]]:
    """Table rows of one comparison, a side each: median, extremes, ratio, ratio of the best."""
    rows = []
    for side, found in figures["sides"].items():
        against = figures["peer_over_lightcars"].get(side)
        rows.append(
            [
                *label,
                side,
                f"{found['median']:.4g} {unit}",
                f"{found['min']:.4g} .. {found['max']:.4g}",
                spread(against) if against else "",
                f"{against['best']:.2f}" if against else "",
            ]
        )
    return rows


COMPARISON_HEAD = ("side", "median", "min .. max", "peer / lightcars", "of the best")


def machine() -> dict[str, Any]:
    """Processor, cores and memory."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def versions() -> dict[str, str | None]:
    """Of Python and of everything that is compared; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("torch", "torchvision", "timm", "fvcore", "onnxruntime", "openvino", OURS):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def finish(
    name: str, arguments: argparse.Namespace, neighbours: Neighbours, results: Any, **settings: Any
) -> None:
    """Writes the JSON file, unless this was a quick look without `--out`."""
    if neighbours.disturbed:
        print(f"\n{neighbours.disturbed} measurements were disturbed by other processes: be careful.")
    out = arguments.out or (None if arguments.quick else RESULTS / f"{name}.json")
    if out is None:
        return
    record = {
        "benchmark": name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": versions(),
        "rounds": arguments.rounds,
        **neighbours.report(),
        **settings,
        "results": results,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {out.name}")
