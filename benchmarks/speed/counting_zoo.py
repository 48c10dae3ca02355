"""Do the counters agree with arithmetic and with fvcore on every classifier of torchvision and timm?

Sides: `lightcars.count_flops`; the arithmetic of Python-level functions (`harness/arithmetic.py`); fvcore's
`FlopCountAnalysis`, of convolutions, linear layers and matrix products.

Method: every model is built on the meta device and counted for one image at its own resolution, in a random
order. fvcore runs a model for real and takes seconds, so it counts only models below `--fvcore-gmacs`, for at
most `--fvcore-minutes` of one core. Where it disagrees, the difference is explained by the kinds of functions
that add up to it exactly; what no kinds add up to is reported as unexplained. The result is written after
every few models; a run that was stopped, or had only `--minutes`, continues from it.

Reading: "different" lists the disagreements with their explanations.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torch import nn

from benchmarks.harness.arithmetic import Arithmetic
from benchmarks.harness.record import RESULTS, write
from lightcars import count_flops

Model = tuple[nn.Module, tuple[int, ...]]
"""A model and the shape of its input."""
BROADCAST = "matmul with a broadcast first operand"
MODELS_PER_WRITE = 20


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a model on the meta device, or on the CPU if building it needs values."""
    try:
        with torch.device("meta"):
            return build()
    except (NotImplementedError, RuntimeError):
        return build()


def torchvision_model(name: str) -> Model:
    """Build a classifier of torchvision."""
    side = torchvision.models.get_model_weights(name).DEFAULT.transforms().crop_size[0]
    model = on_meta(lambda: torchvision.models.get_model(name, weights=None))
    side = getattr(model, "image_size", side)  # a vision transformer takes one size only
    return model, (1, 3, side, side)


def timm_model(name: str) -> Model:
    """Build a model of timm."""
    model = on_meta(lambda: timm.create_model(name))
    return model, (1, *model.pretrained_cfg["input_size"])


BUILDERS = {"torchvision": torchvision_model, "timm": timm_model}


def listed() -> Iterator[str]:
    """Yield the models of both libraries, "library name", each library in a random order."""
    for library, names in (
        ("torchvision", torchvision.models.list_models(module=torchvision.models)),
        ("timm", timm.list_models()),
    ):
        random.Random(0).shuffle(names)
        yield from (f"{library} {name}" for name in names)


class Comparison:
    """Counts models on all sides and holds the results, as they stand in the JSON file."""

    def __init__(self, results: dict[str, Any], *, fvcore_gmacs: float, fvcore_minutes: float) -> None:
        self.results = results
        self.listed = list(listed())
        self.results["listed"] = len(self.listed)
        self.results["fvcore"]["below_gmacs"] = fvcore_gmacs
        self._largest, self._seconds = 1e9 * fvcore_gmacs, 60 * fvcore_minutes

    def missing(self) -> list[str]:
        """Return the models that have not been counted."""
        return [
            name for name in self.listed if name not in {**self.results["macs"], **self.results["failed"]}
        ]

    def add(self, name: str) -> None:
        """Count one model."""
        library, _, variant = name.partition(" ")
        try:
            model, shape = BUILDERS[library](variant)
            with Arithmetic() as arithmetic:  # sees the functions that the counted copy calls
                macs = count_flops(model, inputs=shape)
        except Exception as error:
            self.results["failed"][name] = reason(error)
            return
        self.results["macs"][name] = macs
        if macs != arithmetic.total:
            self.results["unlike_arithmetic"][name] = {"macs": macs, "arithmetic": arithmetic.total}
        if macs < self._largest and self.results["fvcore"]["seconds"] < self._seconds:
            start = time.process_time()
            self._compare(name, model, shape, macs, arithmetic)
            self.results["fvcore"]["seconds"] += time.process_time() - start

    def _compare(
        self, name: str, model: nn.Module, shape: tuple[int, ...], macs: int, arithmetic: Arithmetic
    ) -> None:
        outcome = self.results["fvcore"]
        try:
            fvcore = count_flops(model, inputs=shape, engine="fvcore")
        except Exception as error:
            outcome["failed"][name] = reason(error)
            return
        if fvcore == macs:
            outcome["equal"].append(name)
        else:
            because = explanation(arithmetic, macs - fvcore)
            outcome["different"][name] = {"macs": macs, "fvcore": fvcore, "because": because}


def explanation(arithmetic: Arithmetic, missing: int) -> str:
    """Name the kinds of functions that add up to what fvcore counts less (or, negative, more)."""
    kinds = {kind: macs for kind, macs in arithmetic.macs.items() if macs}
    if arithmetic.broadcast:
        kinds[BROADCAST] = arithmetic.broadcast
    for number in range(1, len(kinds) + 1):
        for some in itertools.combinations(sorted(kinds), number):
            if sum(kinds[kind] for kind in some) == missing:
                return " and ".join(some)
    return "unexplained"


def reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def previous(out: Path) -> dict[str, Any]:
    """Return the results of a run that was stopped, or empty ones."""
    if out.exists():
        results: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))["results"]
        return results
    fvcore = {"seconds": 0.0, "equal": [], "different": {}, "failed": {}}
    return {"macs": {}, "failed": {}, "unlike_arithmetic": {}, "fvcore": fvcore}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fvcore-gmacs", type=float, default=2.0, help="largest model that fvcore counts")
    parser.add_argument("--fvcore-minutes", type=float, default=25.0, help="of one core, for fvcore")
    parser.add_argument("--minutes", type=float, default=600.0, help="time for this run")
    parser.add_argument("--out", type=Path, default=RESULTS / "counting_zoo.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of building models
    torch.set_num_threads(1)
    comparison = Comparison(
        previous(arguments.out),
        fvcore_gmacs=arguments.fvcore_gmacs,
        fvcore_minutes=arguments.fvcore_minutes,
    )
    until = time.monotonic() + 60 * arguments.minutes
    missing = iter(comparison.missing())
    while (some := list(itertools.islice(missing, MODELS_PER_WRITE))) and time.monotonic() < until:
        for name in some:
            comparison.add(name)
        write(arguments.out, "counting_zoo", results=comparison.results)
        print(f"{len(comparison.missing())} models left", flush=True)


if __name__ == "__main__":
    main()
