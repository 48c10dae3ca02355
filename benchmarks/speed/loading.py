"""How long does it take to have EfficientNet-B7 with weights from a local file, and how much memory?

Sides: `lightcars.efficientnet("b7", weights=folder)`; torchvision as its documentation advises (build,
`torch.load`, `load_state_dict`); torchvision built on the meta device with the tensors assigned; timm
(`create_model(pretrained=True)` with a local file); and, as the floor, merely reading the same safetensors
file into a dictionary of tensors. Each library reads its own format, of the same random weights.

Method: every sample is a fresh process; its library is imported before the clock starts. Memory is the peak
of the whole process, imports included, because that is what must fit; where a file is mapped, as here and in
the last two sides, its pages count when they are first used. The file is in the system's cache.

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

from harness import ask_fresh, driver_arguments, parser, rotated, seconds, serve
from neighbours import Neighbours
from ratios import COMPARISON_HEAD, OURS, compare, comparison_row, table
from record import finish

SIDES = (OURS, "timm", "torchvision", "torchvision on meta", "merely reading")


def prepare(side: str, model: str, folder: Path) -> Callable[[], object]:
    """Imports the side's library; the function that is timed."""
    import torch

    if side == OURS:
        from lightcars.weights import pretrained  # noqa: F401 - imports aside
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
            made = build()
            made.load_state_dict(torch.load(folder / "torchvision.pth", weights_only=True))
            return made.eval()

        return load

    def assign() -> object:
        with torch.device("meta"):
            made = build()
        state = torch.load(folder / "torchvision.pth", weights_only=True, mmap=True)
        made.load_state_dict(state, assign=True)
        return made.eval()

    return assign


def work(task: dict[str, Any]) -> dict[str, float]:
    """One side in this process."""
    call = prepare(task["side"], task["model"], Path(task["folder"]))
    kept: list[object] = []
    duration = seconds(lambda: kept.append(call()))
    return {"s": duration, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def write_files(model: str, folder: Path) -> None:
    """The same weights in each library's own format."""
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
    neighbours = Neighbours(arguments.patience)
    answers: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "--write", model, folder], check=True)
        for turn in range(arguments.rounds):
            for side in rotated(SIDES, turn):
                task = {"side": side, "model": model, "folder": folder}
                answers[side].append(neighbours.undisturbed(partial(ask_fresh, __file__, task)))
    results: dict[str, Any] = {}
    rows = []
    for key, unit in (("s", "s"), ("mib", "MiB")):
        results[key] = compare({side: [[a[key]] for a in found] for side, found in answers.items()})
        rows += comparison_row(["time" if key == "s" else "peak memory"], unit, results[key])
    print(f"{model}\n\n{table(('', *COMPARISON_HEAD), rows)}")
    finish("loading", arguments, neighbours, results, model=model)


if __name__ == "__main__":
    main()
