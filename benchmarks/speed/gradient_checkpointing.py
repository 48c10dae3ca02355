"""How much memory does gradient checkpointing save in a training step, and how much time does it take?

Sides: a model with and without `gradient_checkpointing`, in float32 and under bfloat16 autocast; images in
channels_last layout, cross-entropy, AdamW. For comparison, the estimate of `lightcars.profile(...,
backward=True)` for float32 without checkpointing, which counts tensors but not the memory of libraries.

Method: a fresh process for each; memory is the growth of resident memory to its peak over two steps, from a
process whose model and images are there and that has run a step on a small image. Time is the CPU time of the
process in the second step.

Reading: memory that a batch of this size needs in addition to the model and the images.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.harness.memory import growth_mib, mark_memory
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.ratios import rounded, table
from benchmarks.harness.record import finish
from benchmarks.harness.workers import ask_fresh, serve

MODELS = ("efficientnet_b0", "ghostnet_100")
SIDES = [(precision, recompute) for precision in ("fp32", "bf16") for recompute in (False, True)]


def answer(task: Mapping[str, Any]) -> dict[str, float]:
    """Return memory growth in MiB and CPU time in milliseconds of one side."""
    import torch
    import torch.nn.functional as F

    from lightcars import create_model, profile

    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    shape = (task["batch"], 3, task["resolution"], task["resolution"])
    model = create_model(task["model"]).train()
    estimated = profile(model, shape, backward=True).peak_bytes / 2**20
    model.gradient_checkpointing(task["recompute"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images = torch.randn(shape).to(memory_format=torch.channels_last)

    def step(images: torch.Tensor) -> float:
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=task["precision"] == "bf16"):
            loss = F.cross_entropy(model(images), torch.arange(len(images)))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.process_time() - start

    step(torch.randn(2, 3, 64, 64))
    mark = mark_memory()
    step(images)
    ms = 1000 * step(images)
    return {"mib": rounded(growth_mib(mark)), "processor_ms": rounded(ms), "reckoned_mib": rounded(estimated)}


def main() -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--resolution", type=int, default=224)
    options.add_argument("--threads", type=int, default=2)
    arguments = driver_arguments(options, lambda task: serve(lambda _: answer(task)))
    if arguments.quick:
        arguments.batch, arguments.resolution = 8, 96
    settings = {name: getattr(arguments, name) for name in ("batch", "resolution", "threads")}
    results: dict[str, Any] = {}
    rows = []
    for model, (precision, recompute) in itertools.product(arguments.models, SIDES):
        task = {"model": model, "precision": precision, "recompute": recompute, **settings}
        found = ask_fresh(__spec__.name, task)
        side = f"{precision}{', checkpointing' if recompute else ''}"
        results.setdefault(model, {})[side] = found
        rows.append([model, side, *(f"{found[name]:.4g}" for name in ("mib", "processor_ms"))])
    for model, sides in results.items():
        estimated = next(iter(sides.values()))["reckoned_mib"]
        rows.append([model, "fp32, estimate of `profile`", f"{estimated:.4g}", ""])
    print(table(["model", "side", "memory, MiB", "CPU time, ms"], rows))
    finish("gradient_checkpointing", arguments, Neighbors(0), results, **settings)


if __name__ == "__main__":
    main()
