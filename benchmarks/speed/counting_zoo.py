"""Do the counters agree with arithmetic and with fvcore on every classifier of torchvision and timm?

Sides: `lightcars.count_flops`; the arithmetic of Python-level functions (`harness/arithmetic.py`); fvcore's
`FlopCountAnalysis`, of convolutions, linear layers and matrix products.

Method: every model is built on the meta device and counted for one image at its own resolution. fvcore runs a
model for real and takes seconds, so it is asked only about models below `--fvcore-gmacs`, the smallest first,
for `--minutes`. Where it disagrees, the difference is explained by the kinds of functions that add up to it
exactly; what no kinds add up to is reported as unexplained.

Reading: "different" lists the disagreements with their explanations.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torch import nn

from benchmarks.harness.arithmetic import Arithmetic
from benchmarks.harness.record import RESULTS, write
from lightcars import count_flops
from lightcars.counters.inputs import read_inputs
from lightcars.counters.skeleton import running_skeleton, skeleton

Shape = tuple[int, ...]
BROADCAST = "matmul with a broadcast first operand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One model: its multiply-accumulates, and those of the arithmetic by kind."""

    build: Callable[[], tuple[nn.Module, Shape]]
    macs: int
    kinds: dict[str, int]
    broadcast: int

    @property
    def arithmetic(self) -> int:
        return sum(self.kinds.values())


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a model on the meta device, or on the CPU if building it needs values."""
    try:
        with torch.device("meta"):
            return build()
    except (NotImplementedError, RuntimeError):
        return build()


def torchvision_models() -> Iterator[tuple[str, Callable[[], tuple[nn.Module, Shape]]]]:
    """Yield the classifiers of torchvision, each with a function that builds it and gives its input."""
    for name in torchvision.models.list_models(module=torchvision.models):

        def build(name: str = name) -> tuple[nn.Module, Shape]:
            side = torchvision.models.get_model_weights(name).DEFAULT.transforms().crop_size[0]
            model = on_meta(lambda: torchvision.models.get_model(name, weights=None))
            side = getattr(model, "image_size", side)  # a vision transformer takes one size only
            return model, (1, 3, side, side)

        yield name, build


def timm_models() -> Iterator[tuple[str, Callable[[], tuple[nn.Module, Shape]]]]:
    """Yield all models of timm, each with a function that builds it and gives its input."""
    for name in timm.list_models():

        def build(name: str = name) -> tuple[nn.Module, Shape]:
            model = on_meta(lambda: timm.create_model(name))
            return model, (1, *model.pretrained_cfg["input_size"])

        yield name, build


LIBRARIES = {"torchvision": torchvision_models, "timm": timm_models}


def counted(build: Callable[[], tuple[nn.Module, Shape]]) -> Counted:
    """Count one model, by the counter and by arithmetic."""
    model, shape = build()
    copied, given = skeleton(model), read_inputs(model, None, shape)
    with running_skeleton(copied), torch.no_grad(), Arithmetic() as arithmetic:
        copied(*given.blank(copied).args)
    return Counted(
        build=build,
        macs=count_flops(model, inputs=shape),
        kinds=dict(arithmetic.macs),
        broadcast=arithmetic.broadcast,
    )


def explanation(model: Counted, fvcore: int) -> str:
    """Name the kinds of functions that add up to what fvcore counts less (or, negative, more)."""
    kinds = {kind: macs for kind, macs in model.kinds.items() if macs}
    if model.broadcast:
        kinds[BROADCAST] = model.broadcast
    for number in range(1, len(kinds) + 1):
        for some in itertools.combinations(sorted(kinds), number):
            if sum(kinds[kind] for kind in some) == model.macs - fvcore:
                return " and ".join(some)
    return "unexplained"


def count_library(name: str, limit: int | None) -> tuple[dict[str, Counted], dict[str, str]]:
    """Count the models of a library; return them, and the reasons of those that failed."""
    found: dict[str, Counted] = {}
    failed: dict[str, str] = {}
    for model, build in itertools.islice(LIBRARIES[name](), limit):
        try:
            found[model] = counted(build)
        except Exception as error:
            failed[model] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            print(f"{name} {model}: {failed[model]}", flush=True)
    print(f"{name}: {len(found)} counted, {len(failed)} failed", flush=True)
    return found, failed


def compare(models: dict[str, Counted], minutes: float) -> dict[str, Any]:
    """Count models with fvcore, the smallest first, as long as there is time."""
    equal: list[str] = []
    different: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    until = time.monotonic() + 60 * minutes
    for name, model in sorted(models.items(), key=lambda item: item[1].macs):
        if time.monotonic() > until:
            break
        built, shape = model.build()
        try:
            fvcore = count_flops(built, inputs=shape, engine="fvcore")
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            continue
        if fvcore == model.macs:
            equal.append(name)
        else:
            because = explanation(model, fvcore)
            different[name] = {"macs": model.macs, "fvcore": fvcore, "kinds": because}
    compared = len(equal) + len(different)
    print(f"fvcore: {compared} compared, {len(equal)} equal, {len(failed)} failed", flush=True)
    return {"compared": compared, "equal": len(equal), "different": different, "failed": failed}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fvcore-gmacs", type=float, default=2.0, help="largest model that fvcore counts")
    parser.add_argument("--minutes", type=float, default=25.0, help="how long fvcore counts")
    parser.add_argument("--limit", type=int, help="count the first models of each library only")
    parser.add_argument("--out", type=Path, default=RESULTS / "counting_zoo.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of building models
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    small: dict[str, Counted] = {}
    for library in LIBRARIES:
        models, failed = count_library(library, arguments.limit)
        results[library] = {
            "listed": len(models) + len(failed),
            "macs": {name: model.macs for name, model in models.items()},
            "failed": failed,
            "unlike_arithmetic": {
                name: {"macs": model.macs, "arithmetic": model.arithmetic}
                for name, model in models.items()
                if model.macs != model.arithmetic
            },
        }
        print(json.dumps(results[library]["unlike_arithmetic"]), flush=True)
        limit = 1e9 * arguments.fvcore_gmacs
        small |= {f"{library} {name}": model for name, model in models.items() if model.macs < limit}
    results["fvcore"] = {"below_gmacs": arguments.fvcore_gmacs, **compare(small, arguments.minutes)}
    write(arguments.out, "counting_zoo", results=results)


if __name__ == "__main__":
    main()
