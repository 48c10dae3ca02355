"""How long does it take to build a model with random weights, and how much memory does it need?

Sides: `lightcars.create_model`, `torchvision.models` (EfficientNet only) and `timm.create_model`.

Method, repeated builds: all sides in one process, one build each in turn within a round; a model is freed
before the next is built. Method, first builds: a fresh process for every sample, its library imported before
the clock starts; memory is the growth of resident memory to its peak during that build. Both include the
random initialization, because users wait for that too.

Reading: ratios are peer / lightcars, so above 1 means that lightcars is faster or takes less memory.
"""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

from benchmarks.harness.memory import growth_mib, mark_memory
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.peers import EFFICIENTNETS, GHOSTNETS, builder, sides_of
from benchmarks.harness.ratios import COMPARISON_HEAD, Rounds, compare, comparison_row, table
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import rotated, seconds
from benchmarks.harness.workers import ask_fresh, serve, workers

FIRST_BUILDS = ("efficientnet_b0", "efficientnet_b7", "ghostnet_100")
BUILDS_PER_ROUND = 3


class Repeated:
    """All sides in this process: answers every question by the milliseconds of some builds of each."""

    def __init__(self, model: str) -> None:
        self._builders = {side: builder(side, model) for side in sides_of(model)}
        for build in self._builders.values():
            build()

    def answer(self, _: str) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {side: [] for side in self._builders}
        for turn in range(BUILDS_PER_ROUND):
            for side in rotated(list(self._builders), turn):
                gc.collect()
                found[side].append(1000 * seconds(self._builders[side]))
        return found


def first_build(side: str, model: str) -> dict[str, float]:
    """Return milliseconds and MiB of the first build in this process."""
    build = builder(side, model)
    mark = mark_memory()
    return {"ms": 1000 * seconds(build), "mib": growth_mib(mark)}


def measure_repeated(model: str, rounds: int, neighbors: Neighbors) -> dict[str, Any]:
    """Measure builds in a process that has built before."""
    found: dict[str, Rounds] = {side: [] for side in sides_of(model)}
    with workers(__spec__.name, {"all": {"model": model}}) as started:
        worker = started["all"]
        for _ in range(rounds):
            answer = neighbors.undisturbed(partial(worker.ask, "round"), [worker.pid])
            for side, samples in answer.items():
                found[side].append(samples)
    return compare(found)


def measure_first(model: str, rounds: int, neighbors: Neighbors) -> dict[str, Any]:
    """Measure the first build in a process."""
    sides = sides_of(model)
    answers: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for turn in range(rounds):
        for side in rotated(sides, turn):
            task = {"side": side, "model": model}
            answers[side].append(neighbors.undisturbed(partial(ask_fresh, __spec__.name, task)))
    return {
        unit: compare({side: [[answer[unit]] for answer in answers[side]] for side in sides})
        for unit in ("ms", "mib")
    }


def show(repeated: dict[str, Any], first: dict[str, Any]) -> None:
    rows = []
    for model, compared in repeated.items():
        rows += comparison_row([model, "build"], "ms", compared)
    for model, compared in first.items():
        rows += comparison_row([model, "first build"], "ms", compared["ms"])
        rows += comparison_row([model, "its memory"], "MiB", compared["mib"])
    print(table(("model", "", *COMPARISON_HEAD), rows))


def serve_task(task: dict[str, Any]) -> None:
    """Serve first builds, or repeated ones."""
    serve((lambda _: first_build(**task)) if "side" in task else Repeated(task["model"]).answer)


def main() -> None:
    arguments = driver_arguments(parser(__doc__, rounds=7), serve_task)
    neighbors = Neighbors(arguments.patience)
    quick = ("efficientnet_b0", "ghostnet_100")
    repeated = {
        model: measure_repeated(model, arguments.rounds, neighbors)
        for model in (quick if arguments.quick else (*EFFICIENTNETS, *GHOSTNETS))
    }
    first = {
        model: measure_first(model, arguments.rounds, neighbors)
        for model in (quick if arguments.quick else FIRST_BUILDS)
    }
    show(repeated, first)
    finish("building", arguments, neighbors, {"repeated_builds_ms": repeated, "first_builds": first})


if __name__ == "__main__":
    main()
