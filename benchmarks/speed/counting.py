"""What does it cost to count the multiply-accumulates of EfficientNet-B7, and do all counters agree?

Sides: `lightcars.count_flops`; `FlopCounterMode` of torch on torchvision's model on the meta device; fvcore's
`FlopCountAnalysis` on torchvision's model with a real 600 px image, as fvcore's documentation advises.

Method: every round starts a fresh process for each side. It imports its library, builds the model, then
counts for the first time (the peak of resident memory is that of this count alone) and some times more; the
build is timed separately. Counts are of convolutions and linear layers only; torch's are halved, because it
counts two for each multiply-accumulate. The run fails if the counts differ.

Reading: ratios are peer / lightcars, so above 1 means that lightcars counts faster or in less memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from benchmarks.harness.memory import growth_mib, mark_memory
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.ratios import COMPARISON_HEAD, OURS, compare, comparison_row, table
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import rotated, seconds
from benchmarks.harness.workers import ask_fresh, serve

SIDES = (OURS, "torch FlopCounterMode", "fvcore")
RESOLUTIONS = {"efficientnet_b7": 600, "efficientnet_b0": 224}
FVCORE_OPERATORS = ("conv", "linear")
MEASURES = {
    "build_s": "build",
    "first_s": "first count",
    "later_s": "later counts",
    "first_mib": "memory of the first count",
}


def prepare(side: str, model: str) -> Callable[[], Callable[[], int]]:
    """Return a function that builds the model and returns a function that counts it."""
    resolution = RESOLUTIONS[model]
    if side == OURS:
        from lightcars import count_flops, create_model

        def ours() -> Callable[[], int]:
            built = create_model(model)
            return lambda: count_flops(built)

        return ours

    import torch
    import torchvision

    build = getattr(torchvision.models, model)
    if side == "fvcore":
        warnings.simplefilter("ignore")
        from fvcore.nn import FlopCountAnalysis

        def with_fvcore() -> Callable[[], int]:
            built = build(weights=None).eval()

            def count() -> int:
                with torch.no_grad():
                    analysis = FlopCountAnalysis(built, torch.zeros(1, 3, resolution, resolution))
                    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
                    counts = analysis.by_operator()
                return int(sum(counts[name] for name in FVCORE_OPERATORS))

            return count

        return with_fvcore

    from torch.utils.flop_counter import FlopCounterMode

    def with_torch() -> Callable[[], int]:
        with torch.device("meta"):
            built = build(weights=None).eval()

        def count() -> int:
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                built(torch.zeros(1, 3, resolution, resolution, device="meta"))
            return counter.get_total_flops() // 2

        return count

    return with_torch


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Measure one side in this process: times, memory and the count."""
    build = prepare(task["side"], task["model"])
    results: list[Any] = []
    build_s = seconds(lambda: results.append(build()))
    count = results[0]
    mark = mark_memory()
    first_s = seconds(lambda: results.append(count()))
    first_mib = growth_mib(mark)
    later = [seconds(lambda: results.append(count())) for _ in range(task["later"])]
    assert len(set(results[1:])) == 1
    return {
        "build_s": build_s,
        "first_s": first_s,
        "first_mib": first_mib,
        "later_s": median(later),
        "multiply_accumulates": results[1],
    }


def measure(model: str, rounds: int, later: int, neighbors: Neighbors) -> dict[str, list[dict[str, Any]]]:
    """Return the answers of each side, one per round."""
    answers: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for turn in range(rounds):
        for side in rotated(SIDES, turn):
            task = {"side": side, "model": model, "later": later}
            answers[side].append(neighbors.undisturbed(partial(ask_fresh, __spec__.name, task)))
    return answers


def main() -> None:
    arguments = driver_arguments(parser(__doc__, rounds=5), lambda task: serve(lambda _: work(task)))
    model = "efficientnet_b0" if arguments.quick else "efficientnet_b7"
    neighbors = Neighbors(arguments.patience)
    answers = measure(model, arguments.rounds, 1 if arguments.quick else 3, neighbors)
    counts = {side: {answer["multiply_accumulates"] for answer in found} for side, found in answers.items()}
    results: dict[str, Any] = {}
    rows = []
    for key, label in MEASURES.items():
        unit = key.rpartition("_")[2].replace("mib", "MiB")
        results[key] = compare({side: [[a[key]] for a in found] for side, found in answers.items()})
        rows += comparison_row([label], unit, results[key])
    print(f"{model}, {RESOLUTIONS[model]} px\n")
    print(table(("", *COMPARISON_HEAD), rows))
    if len(set.union(*counts.values())) != 1:
        raise SystemExit(f"\nthe counters disagree: {counts}")
    total = counts[OURS].pop()
    print(f"\nall counters agree: {total:,} multiply-accumulates")
    finish("counting", arguments, neighbors, {"multiply_accumulates": total, **results}, model=model)


if __name__ == "__main__":
    main()
