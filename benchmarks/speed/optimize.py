"""How much faster is `lightcars.optimize` on the CPU than the available alternatives?

Sides: lightcars optimized ("auto"), and with `--calibration FOLDER` in int8 too; torchvision and timm in
eager mode, where they have the model; and timm's model, or torchvision's where timm has none, set up as each
engine's documentation advises (`harness/peer_engines.py`, branches merged where it has parallel ones):
torch.compile in fp32 and, where the CPU has it, in bf16; ONNX Runtime in fp32; OpenVINO in bf16 where the CPU
has it. Cases: batches of 1 and of 16 contiguous images of 224 px.

Method: as in `fuse.py`. In every round each side has a fresh process, because the idle threads of one
engine slow another; while one works, the others wait. All sides have the same weights and images and two
threads. After warm-up calls the sides take turns of about 0.2 seconds each, and a turn's sample is the
median of its calls. lightcars starts from its cache, which a process before the first round has filled, so
that all rounds measure the same choice. Before each round a separate process measures the time to the first
output, from before `import torch`. Every round compares all logits with those of timm's eager model.

Random weights amplify rounding errors: bf16 then differs by more than `optimize` allows, and is rejected. So
pass trained weights, `--weights efficientnet_b0=FOLDER ghostnet_100=FOLDER`, folders of `lightcars.save`.

Reading: ratios are side / lightcars, so above 1 means that lightcars is faster; `eager_over_side` is how
much faster than torchvision's eager model (timm's for GhostNet) each side is. Ranges are over rounds.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.harness.calls import inference, logits, synthetic_images
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.peer_engines import COMPILE_BF16, ENGINES
from benchmarks.harness.peers import (
    FURTHER,
    HEART,
    add_weights_option,
    eager_peer,
    engine_peer,
    merged_branches,
    prepare_weights,
    sides_of,
    with_weights,
)
from benchmarks.harness.ratios import (
    COMPARISON_HEAD,
    OURS,
    compare,
    comparison_row,
    differences,
    others_over,
    over_others,
    rounded,
    table,
)
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import Plan, Side, serve_side, timed_rounds
from benchmarks.harness.workers import ask_fresh

if TYPE_CHECKING:
    from lightcars.models.image_model import ImageModel

MODELS = (*HEART, *FURTHER)
TURNS: Mapping[int, int] = {1: 15, 16: 7}
"""Batch size -> number of turns of each side in a round."""
INT8 = "lightcars int8"


def open_side(task: dict[str, Any]) -> Side:
    """Open one side in this process; it answers "logits" too, and lightcars answers "go" by its start-up."""
    start = time.perf_counter()
    import torch

    torch_s = time.perf_counter() - start
    torch.set_num_threads(task["threads"])
    side, folder = task["side"], Path(task["weights"])
    if side in (OURS, INT8):
        return _open_optimized(task, start, torch_s)
    model = with_weights(engine_peer(task["model"]) if side in ENGINES else side, task["model"], folder)
    model = merged_branches(model) if side in ENGINES else model
    images = synthetic_images(task["batch"], 224)
    call = ENGINES[side](model, images, task) if side in ENGINES else inference(model, images)
    return Side(call=call, answers={"logits": logits(call)})


def _open_optimized(task: dict[str, Any], start: float, torch_s: float) -> Side:
    import lightcars

    model = lightcars.load(Path(task["weights"]) / OURS)
    images = synthetic_images(task["batch"], 224)
    asked = {"precision": "int8", "calibration": task["calibration"]} if task["side"] == INT8 else {}
    fast = lightcars.optimize(model, task["batch"], resolution=224, **asked)
    fast(images)
    started = {
        "first_answer_s": rounded(time.perf_counter() - start),
        "of_that_import_torch_s": rounded(torch_s),
        "from_cache": fast.from_cache,
        "engine": fast.engine,
        "precision": fast.precision,
        "measurements": fast.measurements.to_record(),
        **(_calibration_images(task["calibration"], model) if asked else {}),
    }
    call = partial(fast, images)
    return Side(call=call, answers={"logits": logits(call), "go": lambda: started})


def _calibration_images(folder: str, model: ImageModel) -> dict[str, Any]:
    """Return the numbers of images for calibration and for validation of int8."""
    from lightcars.deploy.calibration import Calibration
    from lightcars.deploy.calibration_images import load_calibration_images
    from lightcars.deploy.classifier import describe

    images = load_calibration_images(describe(model), Calibration(folder=folder), 224)
    numbers = {"fitted": len(images.fitted), "judged": len(images.verification)}
    return {"photographs": {"folder": Path(folder).name, **numbers, "nncf": version("nncf")}}


def sides_here(model: str, arguments: Any) -> list[str]:
    """Return the compared sides: all that were asked for and that this CPU supports."""
    from lightcars.deploy.cpu import has_bf16

    int8 = [INT8] if arguments.calibration else []
    engines = [side for side in arguments.engines if side != COMPILE_BF16 or has_bf16()]
    return [OURS, *int8, *sides_of(model)[1:], *engines]


def measure(tasks: Mapping[str, Mapping[str, Any]], rounds: int, neighbors: Neighbors) -> dict[str, Any]:
    """Measure time, outputs and start-up of all sides for one model and batch size."""
    ours = [side for side in (OURS, INT8) if side in tasks]
    first = {side: ask_fresh(__spec__.name, tasks[side]) for side in ours}
    starts: dict[str, list[dict[str, Any]]] = {side: [] for side in ours}

    def start_alone() -> None:  # as a user's process is
        for side in ours:
            starts[side].append(ask_fresh(__spec__.name, tasks[side]))

    task = tasks[OURS]
    plan = Plan(rounds=rounds, turns=TURNS[task["batch"]])
    found = timed_rounds(
        __spec__.name, tasks, plan, neighbors, questions=["logits"], before_round=start_alone
    )
    assert all(start["from_cache"] for side in ours for start in starts[side])
    eager = eager_peer(task["model"])
    return {
        "ms": compare(found.ms),
        "eager": eager,
        "eager_over_side": over_others(eager, found.ms),
        "peer_over_int8": others_over(INT8, found.ms) if INT8 in tasks else {},
        "engines_run": engine_peer(task["model"]),
        "relative_differences": differences(found.answers["logits"], engine_peer(task["model"])),
        "starts": {
            side: {"first_process": first[side], "second_process": _medians(starts[side])} for side in ours
        },
    }


def _medians(starts: list[dict[str, Any]]) -> dict[str, float]:
    keys = ("first_answer_s", "of_that_import_torch_s")
    return {key: rounded(median(start[key] for start in starts)) for key in keys}


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--models", nargs="+", choices=MODELS, default=HEART, metavar="MODEL")
    options.add_argument("--batches", nargs="+", type=int, choices=TURNS, default=list(TURNS))
    add_weights_option(options)
    options.add_argument("--engines", nargs="*", choices=ENGINES, default=list(ENGINES), metavar="SIDE")
    options.add_argument("--calibration", metavar="FOLDER", help="images for calibration: measures int8 too")
    options.add_argument("--threads", type=int, default=2)
    arguments = driver_arguments(options, partial(serve_side, open_side))
    neighbors = Neighbors(arguments.patience)
    results: dict[str, Any] = {}
    rows, starts = [], []
    with tempfile.TemporaryDirectory() as kept:
        os.environ["LIGHTCARS_CACHE"] = f"{kept}/lightcars"
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{kept}/inductor"
        for model in arguments.models:
            weights = Path(kept) / model
            prepare_weights(model, weights, dict(arguments.weights).get(model))
            for batch in arguments.batches:
                task = {"model": model, "batch": batch, "weights": str(weights)}
                task |= {"threads": arguments.threads, "calibration": arguments.calibration}
                tasks = {side: {**task, "side": side} for side in sides_here(model, arguments)}
                found = measure(tasks, arguments.rounds, neighbors)
                results.setdefault(model, {})[f"batch{batch}"] = found
                rows += comparison_row([model, str(batch)], "ms", found["ms"])
                starts += start_rows(model, batch, found["starts"])
    print(f"\n{arguments.threads} threads; {OURS} is optimized\n")
    print(table(("model", "batch", *COMPARISON_HEAD), rows))
    print()
    head = ("model", "batch", "side", "chosen", "first process", "second process", "import torch")
    print(table(head, starts))
    learnt = [name for name, _ in arguments.weights]
    name = "optimize" if set(arguments.models) <= set(HEART) else "optimize_families"
    finish(name, arguments, neighbors, results, threads=arguments.threads, learnt=learnt)


def start_rows(model: str, batch: int, starts: Mapping[str, Any]) -> list[list[str]]:
    """Return table rows: the selected engine, and the seconds to the first output."""
    rows = []
    for side, start in starts.items():
        first, second = start["first_process"], start["second_process"]
        chosen = f"{first['engine']} {first['precision']}"
        took = (first["first_answer_s"], second["first_answer_s"], second["of_that_import_torch_s"])
        rows.append([model, str(batch), side, chosen, *(f"{seconds} s" for seconds in took)])
    return rows


if __name__ == "__main__":
    main()
