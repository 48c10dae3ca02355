"""How much faster does `lightcars.fuse` make inference on the CPU, in PyTorch alone?

Sides: lightcars fused; lightcars, torchvision (EfficientNet only) and timm as they come, which is contiguous
in memory and in evaluation mode. Cases: a forward pass in inference mode of 1 and of 16 contiguous images of
224 px in float32.

Method: as in `eager.py`: in every round each side has a fresh process; while one works, the others wait. All
sides have the same weights, fresh ones with statistics of batch norms that fit them, and the same images.
Calls warm up; then the sides take turns of about 0.2 seconds each, and a turn's sample is the median of its
calls. Every round compares all logits with those of the model as it comes.

Reading: ratios are side / lightcars fused, so above 1 means that the fused model is faster; the range is over
rounds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from calls import inference, logits, made_images
from harness import Plan, Side, driver_arguments, parser, serve_side, timed_rounds
from neighbours import Neighbours
from peers import prepare_weights, sides_of, with_weights
from ratios import COMPARISON_HEAD, OURS, compare, comparison_row, differences, table
from record import finish

MODELS = ("efficientnet_b0", "ghostnet_100")
TURNS: Mapping[int, int] = {1: 15, 16: 7}
"""Batch size -> turns of each side in a round."""
EAGER = "lightcars eager"


def open_side(task: dict[str, Any]) -> Side:
    """One side in this process; answers "logits" too."""
    import torch

    from lightcars import fuse

    torch.set_num_threads(task["threads"])
    library = OURS if task["side"] == EAGER else task["side"]
    model = with_weights(library, task["model"], Path(task["weights"]))
    if task["side"] == OURS:
        model = fuse(model)
    call = inference(model, made_images(task["batch"], 224))
    return Side(call=call, answers={"logits": logits(call)})


def measure(task: dict[str, Any], rounds: int, neighbours: Neighbours) -> dict[str, Any]:
    """Times of all sides for one model and batch size."""
    sides = (OURS, EAGER, *sides_of(task["model"])[1:])
    tasks = {side: {**task, "side": side} for side in sides}
    plan = Plan(rounds=rounds, turns=TURNS[task["batch"]])
    found = timed_rounds(__file__, tasks, plan, neighbours, questions=["logits"])
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
    neighbours = Neighbours(arguments.patience)
    results: dict[str, Any] = {}
    rows = []
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as weights:
            prepare_weights(model, Path(weights))
            for batch in arguments.batches:
                task = {"model": model, "batch": batch, "threads": arguments.threads, "weights": weights}
                found = measure(task, arguments.rounds, neighbours)
                results.setdefault(model, {})[f"batch{batch}"] = found
                rows += comparison_row([model, str(batch)], "ms", found["ms"])
    print(f"\n{arguments.threads} threads; {OURS} is fused\n")
    print(table(("model", "batch", *COMPARISON_HEAD), rows))
    finish("fuse", arguments, neighbours, results, threads=arguments.threads)


if __name__ == "__main__":
    main()
