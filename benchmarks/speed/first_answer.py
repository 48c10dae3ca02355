"""How long does a first prediction take from a cold start?

Sides: `lightcars predict photo.jpg` with the shipped weights, for the first time and once it has prepared its
engine; the folder of `lightcars export --standalone` with ONNX Runtime and the same weights; and, for scale,
`import torch` and `import torchvision` alone.

Method: every sample is a fresh interpreter, timed from outside, in turns within a round, after one round that
only warms the file cache. The image is synthetic.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.harness.commands import wall_ms, works
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import parser
from benchmarks.harness.ratios import summary, table
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import rotated
from lightcars.data.drawn_cars import draw_cars
from lightcars.deploy.export import export
from lightcars.evaluation.cached.entries import SWITCH
from lightcars.runs.trained import load_trained

FIRST, LATER = "first lightcars predict", "later lightcars predict"
TARGETS_MS = {FIRST: 3000.0, LATER: 500.0, "standalone": 500.0}


def commands(folder: Path) -> dict[str, list[str]]:
    """Return the timed commands; exports the standalone folder."""
    image = str(next(draw_cars(folder / "cars", train=1, val=1).rglob("*.png")))
    model = load_trained("cars196", "cpu").model
    standalone = export(model, folder / "cars196.onnx", standalone=True).standalone
    assert standalone is not None
    python = sys.executable
    predict = [python, "-m", "lightcars", "predict", image]
    return {
        FIRST: ["env", f"{SWITCH}=0", *predict],
        LATER: ["env", f"{SWITCH}=1", f"LIGHTCARS_CACHE={folder / 'cache'}", *predict],
        "standalone": [python, str(standalone / "predict.py"), image],
        "import torch": [python, "-c", "import torch"],
        "import torchvision": [python, "-c", "import torchvision"],
    }


def main() -> None:
    arguments = parser(__doc__, rounds=15).parse_args()
    arguments.rounds = 2 if arguments.quick else arguments.rounds
    neighbors = Neighbors(0 if arguments.quick else arguments.patience)
    with tempfile.TemporaryDirectory() as folder:
        known = commands(Path(folder))  # each is run once before it is timed: this prepares the engine
        broken = [name for name, command in known.items() if not works(command)]
        if broken:
            raise SystemExit(f"{', '.join(broken)} failed.")
        samples: dict[str, list[float]] = {name: [] for name in known}
        for turn in range(arguments.rounds):
            for name in rotated(list(known), turn):
                samples[name].append(neighbors.undisturbed(partial(wall_ms, known[name])))
    found = {
        name: {"wall_ms": summary([times]), "target_ms": TARGETS_MS.get(name)}
        for name, times in samples.items()
    }
    rows = [
        [
            name,
            f"{row['wall_ms']['median']:.0f} ms",
            f"{row['wall_ms']['min']:.0f} .. {row['wall_ms']['max']:.0f}",
            "" if row["target_ms"] is None else f"under {row['target_ms']:.0f} ms",
        ]
        for name, row in found.items()
    ]
    print(table(("command", "wall, median", "min .. max", "target"), rows))
    finish("first_answer", arguments, neighbors, found)


if __name__ == "__main__":
    main()
