"""How long does it take to build a model with fresh weights, and how much memory while it is built?

Sides: `lightcars.create_model`, `torchvision.models` (EfficientNet only) and `timm.create_model`.

Method, repeated builds: all sides in one process, one build each in turn within a round; a model is freed
before the next is built. Method, first builds: a fresh process for every sample, its library imported before
the clock starts; memory is the growth of resident memory to its peak during that build. Both include drawing
the initial weights, because a user waits for that too.

Reading: ratios are peer / lightcars, so above 1 means that lightcars is faster or takes less memory.
"""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

from harness import (
    ask_fresh,
    driver_arguments,
    growth_mib,
    mark_memory,
    parser,
    rotated,
    seconds,
    serve,
    workers,
)
from neighbours import Neighbours
from peers import EFFICIENTNETS, GHOSTNETS, builder, sides_of
from ratios import COMPARISON_HEAD, Rounds, compare, comparison_row, table
from record import finish

FIRST_BUILDS = ("efficientnet_b0", "efficientnet_b7", "ghostnet_100")
BUILDS_PER_ROUND = 3


class Repeated:
    """All sides in this process: answers every question by milliseconds of some builds of each."""

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
    """Milliseconds and mebibytes of the first build in this process."""
    build = builder(side, model)
    mark = mark_memory()
    return {"ms": 1000 * seconds(build), "mib": growth_mib(mark)}


def measure_repeated(model: str, rounds: int, neighbours: Neighbours) -> dict[str, Any]:
    """A build in a process that has built before."""
    found: dict[str, Rounds] = {side: [] for side in sides_of(model)}
    with workers(__file__, {"all": {"model": model}}) as started:
        worker = started["all"]
        for _ in range(rounds):
            answer = neighbours.undisturbed(partial(worker.ask, "round"), [worker.pid])
            for side, samples in answer.items():
                found[side].append(samples)
    return compare(found)


def measure_first(model: str, rounds: int, neighbours: Neighbours) -> dict[str, Any]:
    """The first build in a process."""
    sides = sides_of(model)
    answers: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for turn in range(rounds):
        for side in rotated(sides, turn):
            task = {"side": side, "model": model}
            answers[side].append(neighbours.undisturbed(partial(ask_fresh, __file__, task)))
    return {
        unit: compare({side: [[answer[unit]] for answer in answers[side]] for side in sides})
        for unit in ("ms", "mib")
    }


def show(repeated: dict[str, Any], first: dict[str, Any]) -> None:
    rows = []
    for model, figures in repeated.items():
        rows += comparison_row([model, "build"], "ms", figures)
    for model, figures in first.items():
        rows += comparison_row([model, "first build"], "ms", figures["ms"])
        rows += comparison_row([model, "its memory"], "MiB", figures["mib"])
    print(table(("model", "", *COMPARISON_HEAD), rows))


def serve_task(task: dict[str, Any]) -> None:
    """First builds, or repeated ones."""
    serve((lambda _: first_build(**task)) if "side" in task else Repeated(task["model"]).answer)


def main() -> None:
    arguments = driver_arguments(parser(__doc__, rounds=7), serve_task)
    neighbours = Neighbours(arguments.patience)
    quick = ("efficientnet_b0", "ghostnet_100")
    repeated = {
        model: measure_repeated(model, arguments.rounds, neighbours)
        for model in (quick if arguments.quick else (*EFFICIENTNETS, *GHOSTNETS))
    }
    first = {
        model: measure_first(model, arguments.rounds, neighbours)
        for model in (quick if arguments.quick else FIRST_BUILDS)
    }
    show(repeated, first)
    finish("building", arguments, neighbours, {"repeated_builds_ms": repeated, "first_builds": first})


if __name__ == "__main__":
    main()
