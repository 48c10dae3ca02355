"""How fast is `lightcars.optimize` on models as other libraries build them, and on fresh weights?

Sides: `lightcars.optimize(model, batch, input_size=224)`; the eager model; and the same module in OpenVINO,
set up as its documentation advises, in bf16 where the CPU has it (`harness/peer_engines.py`). Models: timm's
and torchvision's as their builders return them, and `lightcars.ghostnet()`, all with random weights: no call
beside `optimize` changes them, and parallel branches are not merged on any side. Cases: batches of 1 and of
16 images of 224 px.

Method: as in `optimize.py`. One process writes the random weights of a model; every side of every round loads
them in a fresh process, warms up, and takes turns of about 0.2 seconds with the others. lightcars starts from
its cache, which a process before the first round has filled.

`--fitted` fits the batch norms' statistics to synthetic images first. The weights then count as trained: an
engine is held to the limits of trained models, so bf16 may be dropped where random weights amplify rounding
errors.

Reading: ratios are side / lightcars, so above 1 means that lightcars is faster. Ranges are over rounds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness.calls import fit_batch_norms, inference, logits, synthetic_images
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.peer_engines import with_openvino
from benchmarks.harness.ratios import COMPARISON_HEAD, OURS, compare, comparison_row, differences, table
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import Plan, Side, serve_side, timed_rounds
from benchmarks.harness.workers import ask_fresh

if TYPE_CHECKING:
    from torch import nn

MODELS = (
    "timm/mobilenetv4_conv_small",
    "timm/mobilenetv3_large_100",
    "timm/repghostnet_100",
    "timm/resnet18",
    "torchvision/shufflenet_v2_x1_0",
    "lightcars/ghostnet_100",
)
EAGER, OPENVINO = "eager", "openvino"
RESOLUTION = 224
TURNS: Mapping[int, int] = {1: 15, 16: 7}
"""Batch size -> number of turns of each side in a round."""


def build(model: str) -> nn.Module:
    """Return a model of a library, with random weights, in evaluation mode."""
    library, _, name = model.partition("/")
    if library == "timm":
        import timm

        return timm.create_model(name).eval()
    if library == "torchvision":
        import torchvision

        return torchvision.models.get_model(name, weights=None).eval()
    import lightcars

    return lightcars.create_model(name).eval()


def write_weights(model: str, file: Path, *, fitted: bool) -> None:
    """Write random weights, always the same ones."""
    import torch

    torch.manual_seed(0)
    built = build(model)
    if fitted:
        fit_batch_norms(built, synthetic_images(8, RESOLUTION))
    torch.save(built.state_dict(), file)


def load(task: Mapping[str, Any]) -> nn.Module:
    """Return the model with the weights that `write_weights` wrote."""
    import torch

    torch.set_num_threads(task["threads"])
    built = build(task["model"])
    built.load_state_dict(torch.load(_file(Path(task["weights"])), weights_only=True))
    return built


def open_side(task: dict[str, Any]) -> Side:
    """Open one side in this process; it answers "logits" too, and lightcars answers "go" by its choice."""
    model, images = load(task), synthetic_images(task["batch"], RESOLUTION)
    if task["side"] == OURS:
        return _open_optimized(model, images, task)
    call = with_openvino(model, images, task) if task["side"] == OPENVINO else inference(model, images)
    return Side(call=call, answers={"logits": logits(call)})


def _open_optimized(model: nn.Module, images: Any, task: Mapping[str, Any]) -> Side:
    import lightcars

    fast = lightcars.optimize(model, task["batch"], input_size=RESOLUTION)
    chosen = {
        "engine": fast.engine,
        "precision": fast.precision,
        "untrained": fast.untrained,
        "from_cache": fast.from_cache,
        "measurements": fast.measurements.to_record(),
    }
    call = partial(fast, images)
    return Side(call=call, answers={"logits": logits(call), "go": lambda: chosen})


def measure(tasks: Mapping[str, Mapping[str, Any]], rounds: int, neighbors: Neighbors) -> dict[str, Any]:
    """Measure time and outputs of all sides for one model and batch size."""
    chosen = ask_fresh(__spec__.name, tasks[OURS])
    plan = Plan(rounds=rounds, turns=TURNS[tasks[OURS]["batch"]])
    found = timed_rounds(__spec__.name, tasks, plan, neighbors, questions=["logits"])
    return {
        "ms": compare(found.ms),
        "relative_differences": differences(found.answers["logits"], EAGER),
        "chosen": chosen,
    }


def _file(folder: Path) -> Path:
    return folder / "weights.pt"


def _prepare(model: str, folder: Path, *, fitted: bool) -> None:
    """Write the weights in a separate process, so that this one imports no torch."""
    folder.mkdir(parents=True)
    options = ["--fitted"] if fitted else []
    command = [sys.executable, "-m", __spec__.name, "--write", model, str(_file(folder)), *options]
    subprocess.run(command, check=True)


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    options.add_argument("--batches", nargs="+", type=int, choices=TURNS, default=list(TURNS))
    options.add_argument("--fitted", action="store_true", help="fit the statistics of batch norms")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    arguments = driver_arguments(options, partial(serve_side, open_side))
    if arguments.write:
        write_weights(arguments.write[0], Path(arguments.write[1]), fitted=arguments.fitted)
        return
    neighbors = Neighbors(arguments.patience)
    results: dict[str, Any] = {}
    rows = []
    with tempfile.TemporaryDirectory() as kept:
        os.environ["LIGHTCARS_CACHE"] = f"{kept}/lightcars"
        for model in arguments.models:
            weights = Path(kept) / model
            _prepare(model, weights, fitted=arguments.fitted)
            for batch in arguments.batches:
                task = {"model": model, "batch": batch, "weights": str(weights)}
                task["threads"] = arguments.threads
                tasks = {side: {**task, "side": side} for side in (OURS, EAGER, OPENVINO)}
                found = measure(tasks, arguments.rounds, neighbors)
                results.setdefault(model, {})[f"batch{batch}"] = found
                chosen = f"{found['chosen']['engine']} {found['chosen']['precision']}"
                rows += comparison_row([model, str(batch), chosen], "ms", found["ms"])
    print(table(("model", "batch", "chosen", *COMPARISON_HEAD), rows))
    settings = {"threads": arguments.threads, "fitted": arguments.fitted}
    finish("optimize_any", arguments, neighbors, results, **settings)


if __name__ == "__main__":
    main()
