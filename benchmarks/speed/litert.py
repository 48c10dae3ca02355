"""How large and how fast are LiteRT's files in fp32, fp16 and int8, beside ONNX Runtime on this CPU?

Run it where the extra `litert` is installed (torch below 2.15), with ONNX Runtime beside it.

Method: one process exports the weights to each file, which verifies them; int8 is calibrated on the images
in `--calibration`. In every round each side loads its file in a fresh process, warms up, and takes turns of
about 0.2 seconds with the others, one image at a time.

Reading: ratios are side / ONNX Runtime in fp32, so above 1 means that ONNX Runtime is faster. A phone's CPU
has other ratios; sizes and accuracies are the same there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.harness.calls import synthetic_images
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.ratios import others_over, spread, summary, table
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import Plan, Side, serve_side, timed_rounds

BASELINE = "onnxruntime fp32"
SIDES: Mapping[str, tuple[str, str]] = {
    BASELINE: ("onnx", "fp32"),
    "litert fp32": ("litert", "fp32"),
    "litert fp16": ("litert", "fp16"),
    "litert int8": ("litert", "int8"),
}
"""Side -> its format and precision."""


def write_files(weights: str, folder: Path, calibration: str) -> None:
    """Export the weights to the file of each side, and write what is known about them to files.json."""
    import torch

    from lightcars.deploy.export import export
    from lightcars.deploy.export_plan import InputSize
    from lightcars.deploy.formats import FORMATS
    from lightcars.runs.trained import load_model

    model = load_model(weights, torch.device("cpu"))
    known = {}
    for side, (name, precision) in SIDES.items():
        done = export(
            model,
            folder / f"{precision}{FORMATS[name].suffix}",
            size=InputSize(batch=1),
            precision=precision,
            calibration=calibration if precision == "int8" else None,
        )
        known[side] = {
            "file": str(done.path),
            "resolution": done.compared[0][-1],
            "size_bytes": done.size_bytes,
            "difference": done.difference,
            "top1_change_percent": done.top1_change_percent,
        }
    (folder / "files.json").write_text(json.dumps(known))


def open_side(task: dict[str, Any]) -> Side:
    """Load a file in its engine."""
    import torch

    from lightcars.deploy.formats import format_of

    torch.set_num_threads(task["threads"])
    run = format_of(Path(task["file"])).artifact.run(Path(task["file"]))
    images = synthetic_images(1, task["resolution"])
    return Side(call=partial(run, images))


def measure(weights: str, arguments: Any, neighbors: Neighbors) -> dict[str, Any]:
    """Export one model's weights and time all files."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __spec__.name, "--write", weights, folder, arguments.calibration]
        subprocess.run(command, check=True)
        known = json.loads((Path(folder) / "files.json").read_text())
        tasks = {side: {**row, "threads": arguments.threads} for side, row in known.items()}
        plan = Plan(rounds=arguments.rounds, turns=7)
        found = timed_rounds(__spec__.name, tasks, plan, neighbors)
    for row in known.values():
        del row["file"]
    return {
        "files": known,
        "ms": {side: summary(rounds) for side, rounds in found.ms.items()},
        "over_onnxruntime": others_over(BASELINE, found.ms),
    }


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--weights", nargs="+", default=["cars196-ghostnet", "imagenet"], metavar="TAG")
    options.add_argument("--calibration", metavar="FOLDER", default=".", help="images for int8")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    arguments = driver_arguments(options, partial(serve_side, open_side))
    if arguments.write:
        write_files(arguments.write[0], Path(arguments.write[1]), arguments.write[2])
        return
    neighbors = Neighbors(arguments.patience)
    results = {weights: measure(weights, arguments, neighbors) for weights in arguments.weights}
    rows = [
        [
            weights,
            side,
            f"{row['size_bytes'] / 1e6:.1f} MB",
            f"{found['ms'][side]['median']:.3g} ms",
            "" if side == BASELINE else spread(found["over_onnxruntime"][side]),
        ]
        for weights, found in results.items()
        for side, row in found["files"].items()
    ]
    print(table(("weights", "side", "size", "median", "side / ONNX Runtime"), rows))
    packages = {name: version(name) for name in ("litert-torch", "ai-edge-litert", "ai-edge-quantizer")}
    settings = {"threads": arguments.threads, "packages": packages}
    finish("litert", arguments, neighbors, results, **settings)


if __name__ == "__main__":
    main()
