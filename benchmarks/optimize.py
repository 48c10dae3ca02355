"""How much faster does `lightcars.optimize` make inference on the CPU than what users can pick instead?

Sides: lightcars optimized ("auto"); torchvision (EfficientNet only) and timm, eager, as they come; and "timm
openvino": timm's model set up as OpenVINO's documentation advises, by `openvino.convert_model` with an
example input and a fixed shape, and `compile_model` with the latency hint, in bf16 where the processor has
it. Cases: batches of 1 and of 16 contiguous images of 224 px.

Method: as in `fuse.py`: in every round each side has a fresh process, because the idle threads of one engine
slow another; while one works, the others wait. Batch normalisation first gets statistics that fit the fresh
weights. Calls warm up; then the sides take turns of about 0.2 seconds each, and a turn's sample is the median
of its calls. Every side is given two threads. lightcars starts from its cache, which a process before the
first round has filled, so that all rounds measure one choice. Before each round a process of its own takes
the time to the first answer, from before `import torch`. Every round compares the logits with those of the
model that was optimized.

Fresh weights make most of a rounding error: bf16 then differs by more than `optimize` allows, and is dropped.
So give it weights that learnt something, `--weights efficientnet_b0=FOLDER ghostnet_100=FOLDER`, folders of
`lightcars.save`; the other sides' speed does not depend on theirs.

Reading: ratios are side / lightcars, so above 1 means that lightcars is faster; the range is over rounds.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from eager import fit_batch_norms, inference
from harness import (
    COMPARISON_HEAD,
    OURS,
    Rounds,
    ask_fresh,
    compare,
    comparison_row,
    finish,
    parser,
    rotated,
    rounded,
    seconds,
    serve,
    table,
    workers,
)
from neighbours import Neighbours
from peers import builder, sides_of

MODELS = ("efficientnet_b0", "ghostnet_100")
TURNS: Mapping[int, int] = {1: 15, 16: 7}
"""Batch size -> turns of each side in a round."""
OPENVINO = "timm openvino"
TURN_S = 0.2
WARM_UP_CALLS = 3


class Side:
    """One side in this process: answers "warm up", "turn" (milliseconds of a call), "go" and "difference"."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._start = time.perf_counter()
        import torch

        self._torch_s = time.perf_counter() - self._start
        torch.set_num_threads(task["threads"])
        torch.manual_seed(0)
        if task["side"] == OURS:
            self._open_ours(task)
            return
        model = builder("timm" if task["side"] == OPENVINO else task["side"], task["model"])()
        fit_batch_norms(model, torch.randn(4, 3, 64, 64))
        images = torch.randn(task["batch"], 3, 224, 224)
        self._call = inference(model, images)
        if task["side"] == OPENVINO:
            self._call = with_openvino(model.eval(), images, task)

    def _open_ours(self, task: dict[str, Any]) -> None:
        import torch

        import lightcars

        weights = Path(task["weights"] or Path(os.environ["LIGHTCARS_CACHE"]) / task["model"])
        if not weights.is_dir():
            made = lightcars.create_model(task["model"])
            fit_batch_norms(made, torch.randn(8, 3, 224, 224))
            lightcars.save(made.eval(), weights)
        model = lightcars.load(weights)
        images = torch.randn(task["batch"], 3, 224, 224)
        fast = lightcars.optimize(model, task["batch"], resolution=224)
        fast(images)
        self._started = {
            "first_answer_s": rounded(time.perf_counter() - self._start),
            "of_that_import_torch_s": rounded(self._torch_s),
            "from_cache": fast.from_cache,
            "engine": fast.engine,
            "precision": fast.precision,
            "measurements": fast.measurements.to_record(),
        }
        self._eager, self._call = inference(model, images), partial(fast, images)

    def answer(self, question: str) -> Any:
        if question == "go":
            return self._started
        if question == "difference":
            return self._difference()
        if question == "warm up":
            return median(seconds(self._call) for _ in range(WARM_UP_CALLS))
        until = time.perf_counter() + TURN_S
        times = [seconds(self._call)]
        while time.perf_counter() < until:
            times.append(seconds(self._call))
        return 1000 * median(times)

    def _difference(self) -> float:
        """Greatest difference from the eager logits, relative to the largest logit."""
        expected: Any = self._eager()
        ours: Any = self._call()
        return float((ours - expected).abs().max() / expected.abs().max())


def with_openvino(model: Any, images: Any, task: dict[str, Any]) -> Callable[[], object]:
    """A call of timm's model in OpenVINO, as its documentation advises."""
    import openvino

    from lightcars.deploy.processor import has_bf16

    converted = openvino.convert_model(model, example_input=images, input=list(images.shape))
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if has_bf16() else "f32",
        "INFERENCE_NUM_THREADS": task["threads"],
    }
    compiled = openvino.compile_model(converted, "CPU", settings)
    array = images.numpy()
    return lambda: compiled(array)


def measure(task: dict[str, Any], rounds: int, neighbours: Neighbours) -> dict[str, Any]:
    """Times of all sides for one model and batch size."""
    sides = (*sides_of(task["model"]), OPENVINO)
    times: dict[str, Rounds] = {side: [] for side in sides}
    differences, starts = [], []
    first = ask_fresh(__file__, {**task, "side": OURS})
    for _ in range(rounds):
        starts.append(ask_fresh(__file__, {**task, "side": OURS}))  # alone, as a user's process is
        with workers(__file__, {side: {**task, "side": side} for side in sides}) as started:
            for side in sides:
                started[side].ask("warm up")
                times[side].append([])
            for turn in range(TURNS[task["batch"]]):
                for side in rotated(sides, turn):
                    ask = partial(started[side].ask, "turn")
                    times[side][-1].append(neighbours.undisturbed(ask, [started[side].pid]))
            differences.append(started[OURS].ask("difference"))
    assert all(start["from_cache"] for start in starts)
    keys = ("first_answer_s", "of_that_import_torch_s")
    return {
        "ms": compare(times),
        "largest_relative_difference": max(differences),
        "first_process": first,
        "second_process": {key: rounded(median(start[key] for start in starts)) for key in keys},
    }


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    options.add_argument("--batches", nargs="+", type=int, choices=TURNS, default=list(TURNS))
    options.add_argument("--weights", nargs="+", type=pair, default=[], metavar="MODEL=FOLDER")
    options.add_argument("--threads", type=int, default=2)
    arguments = options.parse_args()
    if arguments.worker is not None:
        serve(Side(arguments.worker).answer)
        return
    arguments.rounds = 1 if arguments.quick else arguments.rounds
    neighbours = Neighbours(0 if arguments.quick else arguments.patience)
    results: dict[str, Any] = {}
    rows, starts = [], []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LIGHTCARS_CACHE"] = cache
        for model in arguments.models:
            for batch in arguments.batches:
                task = {"model": model, "batch": batch, "threads": arguments.threads}
                task["weights"] = dict(arguments.weights).get(model)
                found = measure(task, arguments.rounds, neighbours)
                results.setdefault(model, {})[f"batch{batch}"] = found
                rows += comparison_row([model, str(batch)], "ms", found["ms"])
                starts.append(start_row(model, batch, found))
    print(f"\n{arguments.threads} threads; {OURS} is optimized\n")
    print(table(("model", "batch", *COMPARISON_HEAD), rows))
    print()
    print(table(("model", "batch", "chosen", "first process", "second process", "import torch"), starts))
    finish(
        "optimize",
        arguments,
        neighbours,
        results,
        threads=arguments.threads,
        learnt=[name for name, _ in arguments.weights],
    )


def pair(text: str) -> tuple[str, str]:
    """A model's name and a folder."""
    name, _, folder = text.partition("=")
    return name, folder


def start_row(model: str, batch: int, found: Mapping[str, Any]) -> list[str]:
    """What was chosen, and the seconds to the first answer."""
    first, second = found["first_process"], found["second_process"]
    return [
        model,
        str(batch),
        f"{first['engine']} {first['precision']}",
        f"{first['first_answer_s']} s",
        f"{second['first_answer_s']} s",
        f"{second['of_that_import_torch_s']} s",
    ]


if __name__ == "__main__":
    main()
