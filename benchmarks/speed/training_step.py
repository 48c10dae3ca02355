"""How fast is a training step on the CPU, each library in the precision that suits it best?

Sides: lightcars as `finetune` trains (channels_last, the recipe's AdamW, freed memory kept) and timm in
channels_last with AdamW, each in fp32 and in bf16 autocast; with `--compile` both through `torch.compile`
too. A step is forward, cross-entropy, backward and AdamW on a batch that is ready, 64 images of 224 px.
`--sides` picks some, and knows timm with freed memory kept ("timm bf16 memory kept") besides, which tells
what the allocator alone gives; all at once would take more than 24 GB.

Method: as in `eager.py`: in every round each side has a fresh process; while one works, the others wait. All
sides have the same weights, images, dropout and stochastic depth. A call warms up (and compiles); then the
sides take turns of one step. Memory is the growth of resident memory to its peak over all steps, counted from
a process whose model, optimizer and images are already there.

Reading: ratios are side / lightcars in its fastest precision, so above 1 means that lightcars is faster or
takes less memory; `timm_over_lightcars` is that of timm's fastest precision as it comes, without a compiler.
The range is over rounds.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calls import made_images, training_step
from harness import Plan, Side, driver_arguments, growth_mib, mark_memory, parser, serve_side, timed_rounds
from neighbours import Neighbours
from peers import prepare_weights, with_weights
from ratios import COMPARISON_HEAD, OURS, compare, comparison_row, fastest, ratio, spread, table
from record import finish

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

MODELS = ("efficientnet_b0", "ghostnet_100")
LIBRARIES = (OURS, "timm")
PRECISIONS = ("fp32", "bf16")
COMPILED = " compiled"
MEMORY_KEPT = " memory kept"
TURNS = 3
KEPT = ExitStack()
"""What is in force until this process ends."""
atexit.register(KEPT.close)


def open_side(task: dict[str, Any]) -> Side:
    """One side in this process; answers "memory" (MiB) too."""
    import torch

    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    library, precision, *_ = task["side"].split()
    model = with_weights(library, task["model"], Path(task["weights"]))
    model = model.to(memory_format=torch.channels_last)
    images = made_images(task["batch"], task["resolution"]).to(memory_format=torch.channels_last)
    optimizer = optimizer_of(library, model)
    if library == OURS or task["side"].endswith(MEMORY_KEPT):
        from lightcars.training.malloc import memory_kept

        KEPT.enter_context(memory_kept(torch.device("cpu")))  # as `finetune` does
    trained = torch.compile(model) if task["side"].endswith(COMPILED) else model
    call = training_step(trained, images, optimizer, bf16=precision == "bf16")
    memory = partial(growth_mib, mark_memory())
    return Side(call=call, answers={"memory": memory}, warm_up_calls=1, turn_s=0.0)


def optimizer_of(library: str, model: nn.Module) -> Optimizer:
    """AdamW as the library's users have it: lightcars' recipe, or PyTorch's own defaults."""
    if library == OURS:
        from lightcars.recipes.recipe import OptimizerRecipe
        from lightcars.training.optim.optimizers import make_optimizer

        return make_optimizer(model, OptimizerRecipe(name="AdamW"))
    import torch

    return torch.optim.AdamW(model.parameters())


def measure(task: dict[str, Any], sides: list[str], rounds: int, neighbours: Neighbours) -> dict[str, Any]:
    """Times and memory of all sides for one model."""
    tasks = {side: {**task, "side": side} for side in sides}
    plan = Plan(rounds=rounds, turns=TURNS)
    found = timed_rounds(__file__, tasks, plan, neighbours, questions=["memory"])
    memory = {side: [[mib] for mib in answers] for side, answers in found.answers["memory"].items()}
    ours = fastest(found.ms, (side for side in sides if side.startswith(OURS)))
    plain = [f"timm {precision}" for precision in PRECISIONS]
    theirs = fastest(found.ms, (side for side in plain if side in sides))
    return {
        "ms": compare(found.ms, ours),
        "mib": compare(memory, ours),
        "fastest": {OURS: ours, "timm": theirs},
        "timm_over_lightcars": ratio(found.ms[theirs], found.ms[ours]),
    }


def sides_of(*, compiled: bool) -> list[str]:
    """Libraries, precisions and whether through the compiler."""
    forms = ("", COMPILED) if compiled else ("",)
    return [
        f"{library} {precision}{form}" for library in LIBRARIES for precision in PRECISIONS for form in forms
    ]


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--resolution", type=int, default=224)
    options.add_argument("--compile", action="store_true", help="torch.compile too: minutes to compile")
    options.add_argument("--threads", type=int, default=2)
    known = [*sides_of(compiled=True), *(f"timm {precision}{MEMORY_KEPT}" for precision in PRECISIONS)]
    options.add_argument("--sides", nargs="+", choices=known, metavar="SIDE")
    arguments = driver_arguments(options, partial(serve_side, open_side))
    neighbours = Neighbours(arguments.patience)
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
            results[model] = found = measure(task, sides, arguments.rounds, neighbours)
            rows += comparison_row([model], "ms", found["ms"]) + comparison_row([model], "MiB", found["mib"])
            print(f"{model}: {found['fastest']}, timm / lightcars {spread(found['timm_over_lightcars'])}")
    print(f"\n{settings}\n\n{table(('model', *COMPARISON_HEAD), rows)}")
    finish("training_step", arguments, neighbours, results, **settings)


if __name__ == "__main__":
    main()
