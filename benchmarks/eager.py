"""How fast does a model run and train without any compiler, on the CPU, and in how much memory?

Sides: lightcars, torchvision (EfficientNet only) and timm; the same architecture, dropout and stochastic
depth, the same input, the same number of threads. Cases: a forward pass in evaluation and inference mode, of
1 and of 16 images of 224 px; a training step (forward, cross-entropy, backward, SGD with momentum) on 16
images of 112 and of 224 px; each with contiguous and with channels_last tensors.

Method: in every round each side has a fresh process; while one works, the others wait. Batch normalisation
first gets statistics that fit the fresh weights, because without them activations fade into denormal numbers,
which are slow, and each library's initial weights fade differently. Two calls warm up; then the sides take
turns of about 0.1 seconds each, and a turn's sample is the median of its calls. Memory is the growth of
resident memory to its peak over the warm-up and all turns, counted from a process whose model and input are
already there and that has run a small image.

Reading: ratios are peer / lightcars, so above 1 means that lightcars is faster or takes less memory; the
range is over rounds.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from harness import (
    COMPARISON_HEAD,
    Rounds,
    compare,
    comparison_row,
    finish,
    growth_mib,
    mark_memory,
    parser,
    rotated,
    seconds,
    serve,
    table,
    workers,
)
from neighbours import Neighbours
from peers import builder, sides_of

if TYPE_CHECKING:
    from torch import Tensor, nn

MODELS = ("efficientnet_b0", "ghostnet_100")
LAYOUTS = ("contiguous", "channels_last")
TURN_S = 0.1
WARM_UP_CALLS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is run, and how many turns each side has in a round."""

    training: bool
    batch: int
    resolution: int
    turns: int


CASES = {
    "forward_batch1": Case(training=False, batch=1, resolution=224, turns=15),
    "forward_batch16": Case(training=False, batch=16, resolution=224, turns=11),
    "train_batch16_112px": Case(training=True, batch=16, resolution=112, turns=9),
    "train_batch16_224px": Case(training=True, batch=16, resolution=224, turns=7),
}
QUICK_CASES = ["forward_batch1", "train_batch16_112px"]


class Side:
    """One side in this process: answers "warm up", "turn" (milliseconds of a call) and "memory" (MiB)."""

    def __init__(self, task: dict[str, Any]) -> None:
        import torch

        torch.set_num_threads(task["threads"])
        torch.manual_seed(0)
        case = CASES[task["case"]]
        layout = torch.channels_last if task["layout"] == "channels_last" else torch.contiguous_format
        model = builder(task["side"], task["model"])().to(memory_format=layout)
        small = torch.randn(4, 3, 64, 64).to(memory_format=layout)
        fit_batch_norms(model, small)
        images = torch.randn(case.batch, 3, case.resolution, case.resolution).to(memory_format=layout)
        self._call = training_step(model, images) if case.training else inference(model, images)
        self._mark = mark_memory()

    def answer(self, question: str) -> float:
        if question == "memory":
            return growth_mib(self._mark)
        if question == "warm up":
            return median(seconds(self._call) for _ in range(WARM_UP_CALLS))
        until = time.perf_counter() + TURN_S
        times = [seconds(self._call)]
        while time.perf_counter() < until:
            times.append(seconds(self._call))
        return 1000 * median(times)


def fit_batch_norms(model: nn.Module, images: Tensor) -> None:
    """Gives every BatchNorm2d the statistics of its own input."""
    import torch
    from torch import nn

    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def inference(model: nn.Module, images: Tensor) -> Callable[[], object]:
    """A forward pass as one does it in production."""
    import torch

    model.eval()

    @torch.inference_mode()
    def call() -> Tensor:
        return model(images)

    return call


def training_step(model: nn.Module, images: Tensor) -> Callable[[], object]:
    """Forward, loss, backward, SGD."""
    import torch

    model.train()
    targets = torch.arange(images.shape[0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def call() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), targets).backward()
        optimizer.step()

    return call


def measure(task: dict[str, Any], rounds: int, neighbours: Neighbours) -> dict[str, Any]:
    """Times and memory of all sides for one model, case and layout."""
    sides = sides_of(task["model"])
    times: dict[str, Rounds] = {side: [] for side in sides}
    memory: dict[str, Rounds] = {side: [] for side in sides}
    for _ in range(rounds):
        with workers(__file__, {side: {**task, "side": side} for side in sides}) as started:
            for side in sides:
                started[side].ask("warm up")
                times[side].append([])
            for turn in range(CASES[task["case"]].turns):
                for side in rotated(sides, turn):
                    ask = partial(started[side].ask, "turn")
                    times[side][-1].append(neighbours.undisturbed(ask, [started[side].pid]))
            for side in sides:
                memory[side].append([started[side].ask("memory")])
    return {"ms": compare(times), "mib": compare(memory)}


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    options.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    options.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=LAYOUTS, metavar="LAYOUT")
    options.add_argument("--threads", type=int, default=2)
    arguments = options.parse_args()
    if arguments.worker is not None:
        serve(Side(arguments.worker).answer)
        return
    arguments.rounds = 1 if arguments.quick else arguments.rounds
    cases = QUICK_CASES if arguments.quick else arguments.cases
    neighbours = Neighbours(0 if arguments.quick else arguments.patience)
    results: dict[str, Any] = {}
    for model in arguments.models:
        rows = []
        for case, layout in itertools.product(cases, arguments.layouts):
            task = {"model": model, "case": case, "layout": layout, "threads": arguments.threads}
            found = measure(task, arguments.rounds, neighbours)
            results.setdefault(model, {}).setdefault(case, {})[layout] = found
            rows += comparison_row([case, layout], "ms", found["ms"])
            rows += comparison_row([case, layout], "MiB", found["mib"])
        print(
            f"\n{model}, {arguments.threads} threads\n\n{table(('case', 'layout', *COMPARISON_HEAD), rows)}"
        )
    finish("eager", arguments, neighbours, results, threads=arguments.threads)


if __name__ == "__main__":
    main()
