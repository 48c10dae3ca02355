"""How fast does a model run and train without a compiler, on the CPU, and how much memory does it need?

Sides: lightcars, torchvision (EfficientNet only) and timm; the same architecture, dropout and stochastic
depth, the same input, the same number of threads. Cases: a forward pass in evaluation and inference mode, of
1 and of 16 images of 224 px; a training step (forward, cross-entropy, backward, SGD with momentum) on 16
images of 112 and of 224 px; each with contiguous and with channels_last tensors.

Method: in every round each side has a fresh process; while one works, the others wait. Batch normalization
first gets statistics that match the random weights. After two warm-up calls the sides take
turns of about 0.1 seconds each, and a turn's sample is the median of its calls. Memory is the growth of
resident memory to its peak over the warm-up and all turns, counted from a process whose model and input are
already there and that has run a small image.

Reading: ratios are peer / lightcars, so above 1 means that lightcars is faster or takes less memory; the
range is over rounds.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.harness.calls import fit_batch_norms, inference, training_step
from benchmarks.harness.memory import growth_mib, mark_memory
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.peers import builder, sides_of
from benchmarks.harness.ratios import COMPARISON_HEAD, compare, comparison_row, table
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import Plan, Side, serve_side, timed_rounds

MODELS = ("efficientnet_b0", "ghostnet_100")
LAYOUTS = ("contiguous", "channels_last")
TURN_S = 0.1
WARM_UP_CALLS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One workload, and the number of turns of each side in a round."""

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


def open_side(task: dict[str, Any]) -> Side:
    """Open one side in this process; it answers "memory" (MiB) too."""
    import torch

    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    case = CASES[task["case"]]
    layout = torch.channels_last if task["layout"] == "channels_last" else torch.contiguous_format
    model = builder(task["side"], task["model"])().to(memory_format=layout)
    fit_batch_norms(model, torch.randn(4, 3, 64, 64).to(memory_format=layout))
    images = torch.randn(case.batch, 3, case.resolution, case.resolution).to(memory_format=layout)
    if case.training:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        call = training_step(model, images, optimizer)
    else:
        call = inference(model, images)
    mark = mark_memory()
    memory = partial(growth_mib, mark)
    return Side(call=call, answers={"memory": memory}, warm_up_calls=WARM_UP_CALLS, turn_s=TURN_S)


def measure(task: dict[str, Any], rounds: int, neighbors: Neighbors) -> dict[str, Any]:
    """Measure time and memory of all sides for one model, case and layout."""
    tasks = {side: {**task, "side": side} for side in sides_of(task["model"])}
    plan = Plan(rounds=rounds, turns=CASES[task["case"]].turns)
    found = timed_rounds(__spec__.name, tasks, plan, neighbors, questions=["memory"])
    memory = {side: [[mib] for mib in answers] for side, answers in found.answers["memory"].items()}
    return {"ms": compare(found.ms), "mib": compare(memory)}


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    options.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    options.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=LAYOUTS, metavar="LAYOUT")
    options.add_argument("--threads", type=int, default=2)
    arguments = driver_arguments(options, partial(serve_side, open_side))
    cases = QUICK_CASES if arguments.quick else arguments.cases
    neighbors = Neighbors(arguments.patience)
    results: dict[str, Any] = {}
    for model in arguments.models:
        rows = []
        for case, layout in itertools.product(cases, arguments.layouts):
            task = {"model": model, "case": case, "layout": layout, "threads": arguments.threads}
            found = measure(task, arguments.rounds, neighbors)
            results.setdefault(model, {}).setdefault(case, {})[layout] = found
            rows += comparison_row([case, layout], "ms", found["ms"])
            rows += comparison_row([case, layout], "MiB", found["mib"])
        print(
            f"\n{model}, {arguments.threads} threads\n\n{table(('case', 'layout', *COMPARISON_HEAD), rows)}"
        )
    finish("eager", arguments, neighbors, results, threads=arguments.threads)


if __name__ == "__main__":
    main()
