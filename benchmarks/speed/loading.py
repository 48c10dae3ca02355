"""How long does it take to load EfficientNet-B7 from a local file, and how much memory does it need?

Sides: `lightcars.efficientnet("b7", weights=folder)`; torchvision as documented (build,
`torch.load`, `load_state_dict`); torchvision built on the meta device with the tensors assigned; timm
(`create_model(pretrained=True)` with a local file); and, as the lower bound, reading the same safetensors
file into a dictionary of tensors. Each library reads its own format, of the same random weights.

Method: every sample is a fresh process; its library is imported before the clock starts. Memory is the peak
of the whole process, imports included, because that is what has to fit; where a file is mapped, as by
lightcars and the last two sides, its pages count once they are used. The file is in the page cache.

Reading: ratios are peer / lightcars, so above 1 means that lightcars is faster or takes less memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import driver_arguments, parser
from benchmarks.harness.ratios import COMPARISON_HEAD, OURS, compare, comparison_row, table
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import rotated, seconds
from benchmarks.harness.workers import ask_fresh, serve

SIDES = (OURS, "timm", "torchvision", "torchvision on meta", "merely reading")


def prepare(side: str, model: str, folder: Path) -> Callable[[], object]:
    """Import the side's library and return the function that is timed."""
    import torch

    if side == OURS:
        from lightcars.weights import pretrained  # noqa: F401 - imported before the clock starts
        from lightcars.zoo import create_model

        return partial(create_model, model, weights=folder / "ours")
    if side == "timm":
        import timm

        overlay = {"file": str(folder / "timm.safetensors")}
        return partial(timm.create_model, model, pretrained=True, pretrained_cfg_overlay=overlay)
    if side == "merely reading":
        from safetensors.torch import load_file

        return partial(load_file, folder / "ours" / "model.safetensors")
    import torchvision

    build = partial(torchvision.models.get_model, model, weights=None)
    if side == "torchvision":

        def load() -> object:
            model = build()
            model.load_state_dict(torch.load(folder / "torchvision.pth", weights_only=True))
            return model.eval()

        return load

    def assign() -> object:
        with torch.device("meta"):
            model = build()
        state = torch.load(folder / "torchvision.pth", weights_only=True, mmap=True)
        model.load_state_dict(state, assign=True)
        return model.eval()

    return assign


def work(task: dict[str, Any]) -> dict[str, float]:
    """Measure one side in this process."""
    call = prepare(task["side"], task["model"], Path(task["folder"]))
    kept: list[object] = []
    duration = seconds(lambda: kept.append(call()))
    return {"s": duration, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def write_files(model: str, folder: Path) -> None:
    """Write the same weights in each library's own format."""
    import torch
    from safetensors.torch import save_file

    import lightcars

    ours = lightcars.create_model(model)
    lightcars.save(ours, folder / "ours")
    save_file(lightcars.state_dict_for(ours, "timm"), folder / "timm.safetensors")
    torch.save(lightcars.state_dict_for(ours, "torchvision"), folder / "torchvision.pth")


def main() -> None:
    options = parser(__doc__, rounds=7)
    options.add_argument("--write", nargs=2, help="MODEL FOLDER: only write the files")
    arguments = driver_arguments(options, lambda task: serve(lambda _: work(task)))
    if arguments.write:
        write_files(arguments.write[0], Path(arguments.write[1]))
        return
    model = "efficientnet_b0" if arguments.quick else "efficientnet_b7"
    neighbors = Neighbors(arguments.patience)
    answers: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", __spec__.name, "--write", model, folder], check=True)
        for turn in range(arguments.rounds):
            for side in rotated(SIDES, turn):
                task = {"side": side, "model": model, "folder": folder}
                answers[side].append(neighbors.undisturbed(partial(ask_fresh, __spec__.name, task)))
    results: dict[str, Any] = {}
    rows = []
    for key, unit in (("s", "s"), ("mib", "MiB")):
        results[key] = compare({side: [[a[key]] for a in found] for side, found in answers.items()})
        rows += comparison_row(["time" if key == "s" else "peak memory"], unit, results[key])
    print(f"{model}\n\n{table(('', *COMPARISON_HEAD), rows)}")
    finish("loading", arguments, neighbors, results, model=model)


if __name__ == "__main__":
    main()
