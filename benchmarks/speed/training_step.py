"""How fast is a training step on the CPU, each library in its fastest precision?

Sides: lightcars as `finetune` trains (channels_last, the recipe's AdamW, freed memory kept) and timm in
channels_last with AdamW, each in fp32 and in bf16 autocast; with `--compile` both through `torch.compile`
too. A step is forward, cross-entropy, backward and AdamW on a batch that is ready, 64 images of 224 px.
`--sides` selects some, and also has timm with freed memory kept ("timm bf16 memory kept"), which shows the
gain of the allocator alone; all sides at once would take more than 24 GB.

Method: as in `eager.py`. In every round each side has a fresh process; while one works, the others wait. All
sides have the same weights, images, dropout and stochastic depth. One call warms up (and compiles); then the
sides take turns of one step. Memory is the growth of resident memory to its peak over all steps, counted from
a process whose model, optimizer and images are already there.

Reading: ratios are side / lightcars in its fastest precision, so above 1 means that lightcars is faster or
takes less memory; `peer_over_lightcars` is that of the peer's fastest precision, without a compiler. Models
that timm lacks are torchvision's, on the sides named after timm. The range is over rounds.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.calls import adamw, synthetic_images, training_step
from benchmarks.harness.memory import growth_mib, mark_memory
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.peers import FURTHER, HEART, OTHERS, engine_peer, prepare_weights, with_weights
from benchmarks.harness.ratios import (
    COMPARISON_HEAD,
    OURS,
    compare,
    comparison_row,
    fastest,
    ratio,
    spread,
    table,
)
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import Plan, Side, serve_side, timed_rounds

MODELS = (*HEART, *FURTHER, *OTHERS)
LIBRARIES = (OURS, "timm")
PRECISIONS = ("fp32", "bf16")
COMPILED = " compiled"
MEMORY_KEPT = " memory kept"
TURNS = 3
KEPT = ExitStack()
"""Contexts that stay open until this process ends."""
atexit.register(KEPT.close)


def open_side(task: dict[str, Any]) -> Side:
    """Open one side in this process; it answers "memory" (MiB) too."""
    import torch

    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    library, precision, *_ = task["side"].split()
    model = with_weights(library, task["model"], Path(task["weights"]))
    model = model.to(memory_format=torch.channels_last)
    images = synthetic_images(task["batch"], task["resolution"]).to(memory_format=torch.channels_last)
    optimizer = adamw(library, model)
    if library == OURS or task["side"].endswith(MEMORY_KEPT):
        from lightcars.training.malloc import memory_kept

        KEPT.enter_context(memory_kept(torch.device("cpu")))  # as `finetune` does
    trained = torch.compile(model) if task["side"].endswith(COMPILED) else model
    call = training_step(trained, images, optimizer, bf16=precision == "bf16")
    memory = partial(growth_mib, mark_memory())
    return Side(call=call, answers={"memory": memory}, warm_up_calls=1, turn_s=0.0)


def measure(task: dict[str, Any], sides: list[str], rounds: int, neighbors: Neighbors) -> dict[str, Any]:
    """Measure time and memory of all sides for one model."""
    tasks = {side: {**task, "side": side} for side in sides}
    plan = Plan(rounds=rounds, turns=TURNS)
    found = timed_rounds(__spec__.name, tasks, plan, neighbors, questions=["memory"])
    memory = {side: [[mib] for mib in answers] for side, answers in found.answers["memory"].items()}
    ours = fastest(found.ms, (side for side in sides if side.startswith(OURS)))
    plain = [side for side in sides if not side.startswith(OURS)]
    without = [side for side in plain if not side.endswith((COMPILED, MEMORY_KEPT))]
    theirs = fastest(found.ms, without or plain)
    return {
        "ms": compare(found.ms, ours),
        "mib": compare(memory, ours),
        "fastest": {OURS: ours, "peer": theirs},
        "peer_over_lightcars": ratio(found.ms[theirs], found.ms[ours]),
    }


def sides_of(*, compiled: bool) -> list[str]:
    """Return the sides: libraries, precisions, and with or without the compiler."""
    forms = ("", COMPILED) if compiled else ("",)
    return [
        f"{library} {precision}{form}" for library in LIBRARIES for precision in PRECISIONS for form in forms
    ]


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--models", nargs="+", choices=MODELS, default=HEART, metavar="MODEL")
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--resolution", type=int, default=224)
    options.add_argument("--compile", action="store_true", help="torch.compile too; takes minutes to compile")
    options.add_argument("--threads", type=int, default=2)
    known = [*sides_of(compiled=True), *(f"timm {precision}{MEMORY_KEPT}" for precision in PRECISIONS)]
    options.add_argument("--sides", nargs="+", choices=known, metavar="SIDE")
    arguments = driver_arguments(options, partial(serve_side, open_side))
    neighbors = Neighbors(arguments.patience)
    settings = {name: getattr(arguments, name) for name in ("batch", "resolution", "threads")}
    sides = arguments.sides or sides_of(compiled=arguments.compile)
    results: dict[str, Any] = {}
    rows = []
    with tempfile.TemporaryDirectory() as kept:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{kept}/inductor"
        for model in arguments.models:
            weights = Path(kept) / model
            prepare_weights(model, weights)
            task = {"model": model, "weights": str(weights), **settings}
            here = [side.replace("timm", engine_peer(model)) for side in sides]
            results[model] = found = measure(task, here, arguments.rounds, neighbors)
            rows += comparison_row([model], "ms", found["ms"]) + comparison_row([model], "MiB", found["mib"])
            print(f"{model}: {found['fastest']}, peer / lightcars {spread(found['peer_over_lightcars'])}")
    print(f"\n{settings}\n\n{table(('model', *COMPARISON_HEAD), rows)}")
    name = "training_step" if set(arguments.models) <= set(HEART) else "training_step_families"
    finish(name, arguments, neighbors, results, **settings)


if __name__ == "__main__":
    main()
