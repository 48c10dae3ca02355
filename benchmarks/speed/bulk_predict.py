"""How many images per second does bulk prediction label, against a loop over `predict`?

Sides, all with the shipped weights `cars196` and images that are cut to their cars (`cut=True`), but for one:

* loop: `for path in paths: lightcars.predict(weights, path)`, which loads the model for every image;
* loop, model loaded once: `transforms_for(model)` and the eager model, image by image;
* bulk, files: what `lightcars predict FOLDER --out` runs, from reading files to rows, in the engine;
* bulk, cars found: the same without `cut=True`, so that each image goes through the car finder first;
* bulk, decoded: as "bulk, files", on uint8 arrays in the model's resolution;
* engine: the optimized model alone, on a batch of tensors that is ready.

Method: in one process with all cores, in rounds in which all sides take turns, after the engine was selected.
In addition to wall-clock time the CPU time of this process, which other processes disturb less. Without
`--data` the images are synthetic. Run it with OMP_WAIT_POLICY=passive, as `lightcars predict` sets it: on a
busy machine PyTorch's threads otherwise spin, which slows the loops many times.

Reading: `bulk over loop` should be at least 5, and `engine over bulk, decoded` at most 1.25.
`cars found over bulk` is what the car finder costs.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

import lightcars
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import parser
from benchmarks.harness.ratios import rounded, table
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import rotated
from lightcars.data.drawn_cars import draw_cars
from lightcars.data.pixels import normalize
from lightcars.evaluation.bulk.engine import EngineChoice, start
from lightcars.evaluation.bulk.names import find_names
from lightcars.evaluation.bulk.reading import read_named, read_source
from lightcars.evaluation.bulk.stream import classify
from lightcars.evaluation.options import PredictOptions
from lightcars.models.images import read_image, without_advice
from lightcars.models.transforms import fit_square
from lightcars.runs.trained import load_trained

RATIOS = ("bulk_over_loop", "bulk_over_loop_loaded_once", "engine_over_bulk_decoded", "cars_found_over_bulk")
BULK_OVER_LOOP = 5.0
ENGINE_OVER_BULK = 1.25
SLOW = 8
"""A loop gets this fraction of the images, so that a round ends."""

WEIGHTS = "cars196"
Sides = dict[str, tuple[Callable[[], object], int]]
"""Name of a side -> its call, and the number of images of one call."""


def sides_of(paths: list[str], choice: EngineChoice, workers: int) -> tuple[Sides, EngineChoice]:
    """Return the calls that are timed; selects the engine."""
    trained = load_trained(WEIGHTS, "cpu")
    classifier = start(trained, choice, many=True, options=PredictOptions(cut=True))
    finding = start(trained, classifier.choice, many=True)
    fit = fit_square(trained.preprocessing)
    decoded = [np.asarray(fit(read_image(Path(path), 3))) for path in paths]
    size = choice.batch_size
    ready = normalize(torch.from_numpy(np.stack(decoded[:size])).permute(0, 3, 1, 2), trained.preprocessing)
    batches = len(paths) // size
    few = paths[: max(2, len(paths) // SLOW)]

    def loop() -> None:
        for path in few:
            lightcars.predict(WEIGHTS, path, cut=True)

    transform = lightcars.transforms_for(trained.model)

    @torch.inference_mode()
    def loop_once() -> None:
        for path in few:
            with Image.open(path) as image:
                trained.model(transform(image)[None]).softmax(1).topk(5)

    @torch.inference_mode()
    def engine() -> None:
        for _ in range(batches):
            classifier.run(ready)

    def bulk_files() -> None:
        consume(classify(classifier, paths, read_named, top=5, workers=workers))

    def bulk_found() -> None:
        consume(classify(finding, paths, read_named, top=5, workers=workers))

    def bulk_decoded() -> None:
        read = partial(read_source, name="an array")
        consume(classify(classifier, decoded, read, top=5, workers=workers))

    return {
        "loop": (loop, len(few)),
        "loop, model loaded once": (loop_once, len(few)),
        "bulk, files": (bulk_files, len(paths)),
        "bulk, cars found": (bulk_found, len(paths)),
        "bulk, decoded": (bulk_decoded, len(paths)),
        "engine": (engine, batches * size),
    }, classifier.choice


def consume(batches: Any) -> None:
    for _ in batches:
        pass


def times(call: Callable[[], object]) -> tuple[float, float]:
    """Return wall-clock and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def spread_of(values: list[float]) -> dict[str, float]:
    return {"median": rounded(median(values)), "min": rounded(min(values)), "max": rounded(max(values))}


def measure(sides: Sides, rounds: int, neighbors: Neighbors) -> dict[str, Any]:
    """Time all sides in turns."""
    walls: dict[str, list[float]] = {side: [] for side in sides}
    cpus: dict[str, list[float]] = {side: [] for side in sides}
    for call, _ in sides.values():
        call()  # a warm-up
    for turn in range(rounds):
        for side in rotated(list(sides), turn):
            call, number = sides[side]
            wall_s, cpu_s = neighbors.undisturbed(partial(times, call))
            walls[side].append(1000 * wall_s / number)
            cpus[side].append(1000 * cpu_s / number)

    def over(slow: str, fast: str) -> dict[str, Any]:
        return {
            name: spread_of([a / b for a, b in zip(each[slow], each[fast], strict=True)])
            for name, each in (("wall", walls), ("cpu", cpus))
        }

    return {
        "images_per_s": {side: spread_of([1000 / ms for ms in each]) for side, each in walls.items()},
        "cpu_ms_per_image": {side: spread_of(each) for side, each in cpus.items()},
        "bulk_over_loop": over("loop", "bulk, files"),
        "bulk_over_loop_loaded_once": over("loop, model loaded once", "bulk, files"),
        "engine_over_bulk_decoded": over("bulk, decoded", "engine"),
        "cars_found_over_bulk": over("bulk, cars found", "bulk, files"),
        "wanted": {"bulk_over_loop": BULK_OVER_LOOP, "engine_over_bulk_decoded": ENGINE_OVER_BULK},
    }


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--data", type=Path, help="folder of images (default: synthetic cars)")
    options.add_argument("--images", type=int, default=480, help="images per round (default 480)")
    options.add_argument("--engine", default="auto", help="engine of the bulk sides (default auto)")
    options.add_argument("--precision", default="fp32", help="its precision (default fp32)")
    options.add_argument("--batch-size", type=int, default=32)
    arguments = options.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.patience, arguments.images, arguments.engine = 1, 0.0, 40, "eager"
    neighbors = Neighbors(arguments.patience)
    workers = os.cpu_count() or 1
    choice = EngineChoice(
        engine=arguments.engine, precision=arguments.precision, batch_size=arguments.batch_size
    )
    with tempfile.TemporaryDirectory() as folder, without_advice():
        data = arguments.data or draw_cars(Path(folder) / "cars", train=1, val=5) / "val"
        found = list(find_names([str(data)]))
        paths = (found * (arguments.images // len(found) + 1))[: arguments.images]
        sides, chosen = sides_of(paths, choice, workers)
        results = measure(sides, arguments.rounds, neighbors)
    rows = [
        [
            side,
            f"{rate['median']:.1f}",
            f"{rate['min']:.1f} .. {rate['max']:.1f}",
            f"{results['cpu_ms_per_image'][side]['median']:.2f}",
        ]
        for side, rate in results["images_per_s"].items()
    ]
    print(table(("side", "images/s", "min .. max", "CPU ms per image"), rows))
    for name in RATIOS:
        wall, cpu = results[name]["wall"], results[name]["cpu"]
        print(
            f"{name}: {wall['median']:.2f} [{wall['min']:.2f} .. {wall['max']:.2f}], CPU {cpu['median']:.2f}"
        )
    finish(
        "bulk_predict",
        arguments,
        neighbors,
        results,
        engine=chosen.engine,
        precision=chosen.precision,
        batch_size=chosen.batch_size,
        workers=workers,
        threads=torch.get_num_threads(),
        images="photographs" if arguments.data else "synthetic",
        omp_wait_policy=os.environ.get("OMP_WAIT_POLICY"),
        load_average=[rounded(value) for value in os.getloadavg()],
    )


if __name__ == "__main__":
    main()
