"""How fast is a model on a GPU, and how much GPU memory does it need?

Sides in inference: lightcars optimized (a CUDA graph of the fused model), lightcars eager, timm eager and
timm through torch.compile in the mode that PyTorch's documentation recommends for the case:
"reduce-overhead" for one image, "max-autotune" for many. Sides in training: lightcars, timm, timm compiled.
Cases: latency of 1 image, a batch of 256, both in bf16 and channels_last; a training step of 128 images, in
bf16 autocast and channels_last, with AdamW. 224 px. cuDNN may measure which kernels are fastest, on all
sides.

Method: as in `eager.py`. In every round each side has a fresh process; while one works, the others wait. All
sides have the same weights and images. Each call synchronizes with the GPU and is timed by the wall
clock. The images lie on the GPU, for eager and compiled sides in bf16 already; an optimized model takes
float32 and converts in its call. Memory is what PyTorch has reserved at most over all calls, graphs included,
after compilation; the peak of allocated memory, without the graphs' own, is reported too.

Random weights amplify rounding errors, and `optimize` may then reject bf16 and select fp32; the record
says what it selected. `--weights MODEL=FOLDER`, a folder of `lightcars.save`, supplies trained weights.

Reading: ratios are side / lightcars, so above 1 means that lightcars is faster or takes less memory; the
range is over rounds. Without a GPU nothing is measured. From a bare checkout: PYTHONPATH=src.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness.calls import adamw, inference, synthetic_images, training_step
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.peers import add_weights_option, prepare_weights, with_weights
from benchmarks.harness.ratios import (
    COMPARISON_HEAD,
    OURS,
    compare,
    comparison_row,
    differences,
    over_others,
    table,
)
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import Plan, Side, serve_side, timed_rounds

if TYPE_CHECKING:
    from torch import nn

MODELS = ("efficientnet_b0", "ghostnet_100")
EAGER, TIMM, COMPILED = "lightcars eager", "timm", "timm compile"
SETTLING_CALLS = 3
COMPARED_IMAGES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One workload: batch size, mode of torch.compile, and number of turns of each side in a round."""

    batch: int
    mode: str
    turns: int
    training: bool = False

    @property
    def sides(self) -> tuple[str, ...]:
        """The compared sides; `optimize` is for inference only."""
        return (OURS, TIMM, COMPILED) if self.training else (OURS, EAGER, TIMM, COMPILED)


CASES = {
    "latency_batch1": Case(batch=1, mode="reduce-overhead", turns=15),
    "throughput_batch256": Case(batch=256, mode="max-autotune", turns=9),
    "train_batch128": Case(batch=128, mode="default", training=True, turns=9),
}


def open_side(task: dict[str, Any]) -> Side:
    """Open one side in this process; it answers "memory" (MiB), "logits" and "chosen" too."""
    import torch

    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    case, side = Case(**task["case"]), task["side"]
    library = TIMM if side in (TIMM, COMPILED) else OURS
    model = with_weights(library, task["model"], Path(task["weights"]))
    model = model.to(task["device"], memory_format=torch.channels_last)
    chosen = None
    if case.training:
        run: Callable[[], Any] = _training(model, library, task)
    elif side == OURS:
        run, chosen = _optimized(model, task)
    else:
        run = _inference(model, task)
    call = synchronized(run, task["device"])
    for _ in range(SETTLING_CALLS):  # compilers compile, graphs are recorded
        call()
    answers: dict[str, Callable[[], Any]] = {"memory": memory_since(task["device"]), "chosen": lambda: chosen}
    if not case.training:
        answers["logits"] = lambda: run()[:COMPARED_IMAGES].float().flatten().tolist()
    return Side(call=call, answers=answers)


def _images(task: Mapping[str, Any]) -> Any:
    import torch

    images = synthetic_images(task["case"]["batch"], task["resolution"])
    return images.to(task["device"], memory_format=torch.channels_last)


def _training(model: nn.Module, library: str, task: Mapping[str, Any]) -> Callable[[], Any]:
    import torch

    optimizer = adamw(library, model)
    if task["side"] == COMPILED:
        model = torch.compile(model, mode=task["case"]["mode"])
    return training_step(model, _images(task), optimizer, bf16=True)


def _inference(model: nn.Module, task: Mapping[str, Any]) -> Callable[[], Any]:
    import torch

    model = model.to(torch.bfloat16)
    if task["side"] == COMPILED:
        model = torch.compile(model, mode=task["case"]["mode"])
    return inference(model, _images(task).to(torch.bfloat16))


def _optimized(model: nn.Module, task: Mapping[str, Any]) -> tuple[Callable[[], Any], str]:
    import lightcars

    batch, resolution = task["case"]["batch"], task["resolution"]
    fast = lightcars.optimize(model, batch, resolution=resolution, engine="torch")
    return partial(fast, _images(task)), f"{fast.engine} {fast.precision}"


def synchronized(run: Callable[[], object], device: str) -> Callable[[], None]:
    """Return the call, followed by a synchronization with the GPU."""
    import torch

    def call() -> None:
        run()
        if device == "cuda":
            torch.cuda.synchronize()

    return call


def memory_since(device: str) -> Callable[[], dict[str, float]]:
    """Return a function that returns the GPU's peak memory from now on, in MiB; nothing on a CPU."""
    import torch

    if device != "cuda":
        return dict
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return lambda: {
        "reserved": torch.cuda.max_memory_reserved() / 2**20,
        "allocated": torch.cuda.max_memory_allocated() / 2**20,
    }


def measure(task: dict[str, Any], rounds: int, neighbors: Neighbors) -> dict[str, Any]:
    """Measure time, memory and outputs of all sides for one model and case."""
    case = Case(**task["case"])
    tasks = {side: {**task, "side": side} for side in case.sides}
    questions = ["memory", "chosen", "logits"]
    plan = Plan(rounds=rounds, turns=case.turns)
    found = timed_rounds(__spec__.name, tasks, plan, neighbors, questions=questions)
    kinds = ("reserved", "allocated")
    memory = {
        kind: compare({side: [[a[kind]] for a in found.answers["memory"][side]] for side in tasks})
        for kind in kinds
    }
    return {
        "batch": case.batch,
        "ms": compare(found.ms),
        "eager": TIMM,
        "eager_over_side": over_others(TIMM, found.ms),
        "reserved_mib": memory["reserved"],
        "allocated_mib": memory["allocated"],
        "chosen": found.answers["chosen"][OURS],
        "relative_differences": {} if case.training else differences(found.answers["logits"], TIMM),
    }


def gpu() -> dict[str, Any]:
    """Return name and memory of the GPU, and the CUDA version of PyTorch."""
    import torch

    found = torch.cuda.get_device_properties(0)
    return {
        "name": found.name,
        "memory_gib": round(found.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
    }


def has_gpu() -> bool:
    """Return whether PyTorch can use an NVIDIA GPU."""
    import torch

    return torch.cuda.is_available()


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    options.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    add_weights_option(options)
    arguments = driver_arguments(options, partial(serve_side, open_side))
    if not has_gpu():
        print("no GPU available: nothing was measured")
        return
    neighbors = Neighbors(arguments.patience)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as kept:
        os.environ["LIGHTCARS_CACHE"] = f"{kept}/lightcars"
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{kept}/inductor"
        for model in arguments.models:
            weights = Path(kept) / model
            prepare_weights(model, weights, dict(arguments.weights).get(model))
            task = {"model": model, "weights": str(weights), "resolution": 224, "device": "cuda"}
            results[model] = {
                name: measure({**task, "case": asdict(CASES[name])}, arguments.rounds, neighbors)
                for name in arguments.cases
            }
            show(model, results[model])
    learnt = [name for name, _ in arguments.weights]
    finish("gpu", arguments, neighbors, results, gpu=gpu(), learnt=learnt)


def show(model: str, results: Mapping[str, Any]) -> None:
    """Print the results of one model as a table."""
    rows = []
    for case, found in results.items():
        rows += comparison_row([case], "ms", found["ms"])
        rows += comparison_row([case], "MiB", found["reserved_mib"])
    print(f"\n{model}\n\n{table(('case', *COMPARISON_HEAD), rows)}")


if __name__ == "__main__":
    main()
