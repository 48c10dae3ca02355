"""The JSON file of a benchmark: results, machine and versions. Imports no torch."""

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
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.ratios import OURS

RESULTS = Path(__file__).parents[1] / "results"
SCRIPTS = {
    **{
        name: f"benchmarks/speed/{name}.py"
        for name in (
            "building",
            "bulk_predict",
            "counting",
            "counting_zoo",
            "eager",
            "finetune_step",
            "first_answer",
            "fresh_weights",
            "fuse",
            "gpu",
            "gradient_checkpointing",
            "import_time",
            "input_pipeline",
            "kornia_augmentation",
            "litert",
            "loading",
            "million_images",
            "optimize",
            "optimize_any",
            "training_step",
        )
    },
    "cars_choices": "benchmarks/cars/choices.py",
    "cars_recipes": "benchmarks/cars/recipes.py",
    "cars_search": "benchmarks/cars/search.py",
    "changed_photographs": "benchmarks/cars/changed_photographs.py",
    "optimize_families": "benchmarks/speed/optimize.py",
    "training_step_families": "benchmarks/speed/training_step.py",
    "compared": "benchmarks/cars/compared.py",
    "few_images": "benchmarks/cars/few_images.py",
    "imagenet_precisions": "benchmarks/imagenet/precisions.py",
    "in_browser": "benchmarks/web/in_browser.py",
    "strange_pictures": "benchmarks/cars/out_of_distribution.py",
    "train_cars196": "scripts/train_cars196.py",
    "whole_photographs": "benchmarks/cars/whole_photographs.py",
}
"""Name of a result -> the script that writes it, from the root of the checkout."""
CARS196, CARS196_GHOSTNET = "cars196", "cars196-ghostnet"
"""Shipped weights for Stanford Cars."""


def command_of(name: str) -> str:
    """Return the command that measures a result, for example "python -m benchmarks.speed.fuse"."""
    return "python -m " + SCRIPTS[name].removesuffix(".py").replace("/", ".")


def of_weights(name: str, weights: str) -> str:
    """Return the name of a result that exists for each of the shipped weights.

    >>> of_weights("changed_photographs", "cars196"), of_weights("changed_photographs", "cars196-ghostnet")
    ('changed_photographs', 'changed_photographs_ghostnet')
    """
    return name + {CARS196: "", CARS196_GHOSTNET: "_ghostnet"}[weights]


def out_of(options: argparse.ArgumentParser, arguments: argparse.Namespace, name: str) -> Path:
    """Return where the results of `--weights` go: to `--out`, needed for weights that do not ship."""
    if arguments.out is not None:
        return Path(arguments.out)
    if arguments.weights not in (CARS196, CARS196_GHOSTNET):
        options.error("with other weights than the shipped ones give --out.")
    return RESULTS / f"{of_weights(name, arguments.weights)}.json"


def machine() -> dict[str, Any]:
    """Return CPU, cores and memory."""
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
    """Return the versions of Python and of all compared packages; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("torch", "torchvision", "timm", "fvcore", "onnxruntime", "openvino"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return {**found, OURS: lightcars.__version__}  # also that of a checkout that is not installed


def records(folder: Path = RESULTS) -> dict[str, Any]:
    """Return the records that benchmarks have written, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def finish(
    name: str, arguments: argparse.Namespace, neighbors: Neighbors, results: Any, **settings: Any
) -> None:
    """Write the JSON file, unless `--quick` ran without `--out`."""
    if neighbors.disturbed:
        print(f"\n{neighbors.disturbed} measurements were disturbed by other processes; interpret with care.")
    out = arguments.out or (None if arguments.quick else RESULTS / f"{name}.json")
    if out is None:
        return
    write(out, name, rounds=arguments.rounds, **neighbors.report(), **settings, results=results)
    print(f"\nWritten to {out.name}.")


def write(out: Path, name: str, **content: Any) -> None:
    """Write `content` with the date, the machine and the versions."""
    record = {
        "benchmark": name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": versions(),
        **content,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
