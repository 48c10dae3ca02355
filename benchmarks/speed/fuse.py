"""How much faster does `lightcars.fuse` make inference on the CPU, in PyTorch alone?

Sides: lightcars fused; lightcars, torchvision (EfficientNet only) and timm in eager mode, contiguous in
memory, in evaluation mode. Cases: a forward pass in inference mode of 1 and of 16 contiguous images of 224
px in float32.

Method: as in `eager.py`. In every round each side has a fresh process; while one works, the others wait. All
sides have the same random weights, with batch norm statistics that match them, and the same images.
After warm-up calls the sides take turns of about 0.2 seconds each, and a turn's sample is the median of its
calls. Every round compares all logits with those of the eager model.

Reading: ratios are side / lightcars fused, so above 1 means that the fused model is faster; the range is over
rounds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.calls import inference, logits, synthetic_images
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.peers import prepare_weights, sides_of, with_weights
from benchmarks.harness.ratios import COMPARISON_HEAD, OURS, compare, comparison_row, differences, table
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import Plan, Side, serve_side, timed_rounds

MODELS = ("efficientnet_b0", "ghostnet_100")
TURNS: Mapping[int, int] = {1: 15, 16: 7}
"""Batch size -> number of turns of each side in a round."""
EAGER = "lightcars eager"


def open_side(task: dict[str, Any]) -> Side:
    """Open one side in this process; it answers "logits" too."""
    import torch

    from lightcars import fuse

    torch.set_num_threads(task["threads"])
    library = OURS if task["side"] == EAGER else task["side"]
    model = with_weights(library, task["model"], Path(task["weights"]))
    if task["side"] == OURS:
        model = fuse(model)
    call = inference(model, synthetic_images(task["batch"], 224))
    return Side(call=call, answers={"logits": logits(call)})


def measure(task: dict[str, Any], rounds: int, neighbors: Neighbors) -> dict[str, Any]:
    """Measure all sides for one model and batch size."""
    sides = (OURS, EAGER, *sides_of(task["model"])[1:])
    tasks = {side: {**task, "side": side} for side in sides}
    plan = Plan(rounds=rounds, turns=TURNS[task["batch"]])
    found = timed_rounds(__spec__.name, tasks, plan, neighbors, questions=["logits"])
    return {
        "ms": compare(found.ms),
        "relative_differences": differences(found.answers["logits"], EAGER),
    }


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    options.add_argument("--batches", nargs="+", type=int, choices=TURNS, default=list(TURNS))
    options.add_argument("--threads", type=int, default=2)
    arguments = driver_arguments(options, partial(serve_side, open_side))
    neighbors = Neighbors(arguments.patience)
    results: dict[str, Any] = {}
    rows = []
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as weights:
            prepare_weights(model, Path(weights))
            for batch in arguments.batches:
                task = {"model": model, "batch": batch, "threads": arguments.threads, "weights": weights}
                found = measure(task, arguments.rounds, neighbors)
                results.setdefault(model, {})[f"batch{batch}"] = found
                rows += comparison_row([model, str(batch)], "ms", found["ms"])
    print(f"\n{arguments.threads} threads; {OURS} is fused\n")
    print(table(("model", "batch", *COMPARISON_HEAD), rows))
    finish("fuse", arguments, neighbors, results, threads=arguments.threads)


if __name__ == "__main__":
    main()
