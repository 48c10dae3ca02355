"""What a benchmark leaves behind: a JSON file with its figures, the machine and the versions. No torch."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lightcars
from neighbours import Neighbours
from ratios import OURS

RESULTS = Path(__file__).parent / "results"


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
    for package in ("torch", "torchvision", "timm", "fvcore", "onnxruntime", "openvino"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return {**found, OURS: lightcars.__version__}  # also that of a checkout that is not installed


def records(folder: Path = RESULTS) -> dict[str, Any]:
    """What benchmarks have written there, by their names."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def finish(
    name: str, arguments: argparse.Namespace, neighbours: Neighbours, results: Any, **settings: Any
) -> None:
    """Writes the JSON file, unless this was a quick look without `--out`."""
    if neighbours.disturbed:
        print(f"\n{neighbours.disturbed} measurements were disturbed by other processes: be careful.")
    out = arguments.out or (None if arguments.quick else RESULTS / f"{name}.json")
    if out is None:
        return
    write(out, name, rounds=arguments.rounds, **neighbours.report(), **settings, results=results)
    print(f"\nwritten to {out.name}")


def write(out: Path, name: str, **content: Any) -> None:
    """Writes `content` with the date, the machine and the versions."""
    record = {
        "benchmark": name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": versions(),
        **content,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
