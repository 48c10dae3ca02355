"""How much faster does `lightcars.fuse` make inference on the CPU, in PyTorch alone?

Sides: lightcars fused; lightcars, torchvision (EfficientNet only) and timm as they come, which is contiguous
in memory and in evaluation mode. Cases: a forward pass in inference mode of 1 and of 16 contiguous images of
224 px in float32.

Method: as in `eager.py`: in every round each side has a fresh process; while one works, the others wait.
Batch normalisation first gets statistics that fit the fresh weights. Calls warm up; then the sides take turns
of about 0.2 seconds each, and a turn's sample is the median of its calls. Every round compares the fused
model's logits with those of the model that it was made from.

Reading: ratios are side / lightcars fused, so above 1 means that the fused model is faster; the range is over
rounds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from statistics import median
from typing import Any

from eager import fit_batch_norms, inference
from harness import (
    COMPARISON_HEAD,
    OURS,
    Rounds,
    compare,
    comparison_row,
    finish,
    parser,
    rotated,
    seconds,
    serve,
    table,
    workers,
)
from neighbours import Neighbours
from peers import builder, sides_of

MODELS = ("efficientnet_b0", "ghostnet_100")
TURNS: Mapping[int, int] = {1: 15, 16: 7}
"""Batch size -> turns of each side in a round."""
EAGER = "lightcars eager"
TURN_S = 0.2
WARM_UP_CALLS = 3


class Side:
    """One side in this process: answers "warm up", "turn" (milliseconds of a call) and "difference"."""

    def __init__(self, task: dict[str, Any]) -> None:
        import torch

        from lightcars import fuse

        torch.set_num_threads(task["threads"])
        torch.manual_seed(0)
        library = OURS if task["side"] == EAGER else task["side"]
        model = builder(library, task["model"])()
        fit_batch_norms(model, torch.randn(4, 3, 64, 64))
        images = torch.randn(task["batch"], 3, 224, 224)
        self._eager = inference(model, images)
        self._call = inference(fuse(model), images) if task["side"] == OURS else self._eager

    def answer(self, question: str) -> float:
        if question == "difference":
            return self._difference()
        if question == "warm up":
            return median(seconds(self._call) for _ in range(WARM_UP_CALLS))
        until = time.perf_counter() + TURN_S
        times = [seconds(self._call)]
        while time.perf_counter() < until:
            times.append(seconds(self._call))
        return 1000 * median(times)

    def _difference(self) -> float:
        """Greatest difference of fused and eager logits, relative to the largest logit."""
        expected: Any = self._eager()
        ours: Any = self._call()
        return float((ours - expected).abs().max() / expected.abs().max())


def measure(task: dict[str, Any], rounds: int, neighbours: Neighbours) -> dict[str, Any]:
    """Times of all sides for one model and batch size."""
    sides = (OURS, EAGER, *sides_of(task["model"])[1:])
    times: dict[str, Rounds] = {side: [] for side in sides}
    differences = []
    for _ in range(rounds):
        with workers(__file__, {side: {**task, "side": side} for side in sides}) as started:
            for side in sides:
                started[side].ask("warm up")
                times[side].append([])
            for turn in range(TURNS[task["batch"]]):
                for side in rotated(sides, turn):
                    ask = partial(started[side].ask, "turn")
                    times[side][-1].append(neighbours.undisturbed(ask, [started[side].pid]))
            differences.append(started[OURS].ask("difference"))
    return {"ms": compare(times), "largest_relative_difference": max(differences)}


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    options.add_argument("--batches", nargs="+", type=int, choices=TURNS, default=list(TURNS))
    options.add_argument("--threads", type=int, default=2)
    arguments = options.parse_args()
    if arguments.worker is not None:
        serve(Side(arguments.worker).answer)
        return
    arguments.rounds = 1 if arguments.quick else arguments.rounds
    neighbours = Neighbours(0 if arguments.quick else arguments.patience)
    results: dict[str, Any] = {}
    rows = []
    for model in arguments.models:
        for batch in arguments.batches:
            task = {"model": model, "batch": batch, "threads": arguments.threads}
            found = measure(task, arguments.rounds, neighbours)
            results.setdefault(model, {})[f"batch{batch}"] = found
            rows += comparison_row([model, str(batch)], "ms", found["ms"])
    print(f"\n{arguments.threads} threads; {OURS} is fused\n")
    print(table(("model", "batch", *COMPARISON_HEAD), rows))
    finish("fuse", arguments, neighbours, results, threads=arguments.threads)


if __name__ == "__main__":
    main()
