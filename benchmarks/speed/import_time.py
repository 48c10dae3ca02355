"""How long do `import lightcars` and `lightcars list` take?

Method: every sample is a fresh interpreter, timed from outside; the commands take turns within a round, after
one round that only warms the file cache. An import's cost is its time less that of `python -c pass` in the
same round. The command line is timed with its interpreter.

Reading: `import lightcars` should cost under 50 ms, because it must not import torch; the command line
should take under 300 ms. timm, torchvision and torch are there for scale. "absent" is a command that
failed.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.commands import wall_ms, works
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import parser
from benchmarks.harness.ratios import rounded, summary, table
from benchmarks.harness.record import finish
from benchmarks.harness.rounds import rotated

BARE = "python -c pass"
IMPORT_TARGET_MS, COMMAND_TARGET_MS = 50.0, 300.0


def commands() -> dict[str, list[str]]:
    """Return the timed commands by name."""
    script = Path(sys.executable).parent / "lightcars"
    imports = {f"import {name}": [sys.executable, "-c", f"import {name}"] for name in PACKAGES}
    return {
        BARE: [sys.executable, "-c", "pass"],
        **imports,
        "lightcars list": [str(script), "list"],
        "python -m lightcars list": [sys.executable, "-m", "lightcars", "list"],
    }


PACKAGES = ("lightcars", "torch", "torchvision", "timm")
TARGETS_MS = {
    "import lightcars": IMPORT_TARGET_MS,
    "lightcars list": COMMAND_TARGET_MS,
    "python -m lightcars list": COMMAND_TARGET_MS,
}


def measure(rounds: int, neighbors: Neighbors) -> dict[str, list[float] | None]:
    """Return the milliseconds of each command, one per round; None for one that fails."""
    known = commands()
    present = [name for name, command in known.items() if works(command)]
    samples: dict[str, list[float]] = {name: [] for name in present}
    for turn in range(rounds):
        for name in rotated(present, turn):
            samples[name].append(neighbors.undisturbed(partial(wall_ms, known[name])))
    return {name: samples.get(name) for name in known}


def summaries(samples: dict[str, list[float] | None]) -> dict[str, Any]:
    """Return for each command its wall time and, for imports, the cost above a bare interpreter."""
    bare = samples[BARE]
    assert bare is not None
    found: dict[str, Any] = {}
    for name, times in samples.items():
        if times is None:
            found[name] = None
            continue
        target = TARGETS_MS.get(name)
        cost = [time - idle for time, idle in zip(times, bare, strict=True)]
        relevant = median(cost if name.startswith("import") else times)
        found[name] = {
            "wall_ms": summary([times]),
            "above_bare_ms": summary([cost]) if name.startswith("import") else None,
            "target_ms": target,
            "figure_ms": rounded(relevant),
            "meets_target": None if target is None else relevant < target,
        }
    return found


def show(found: dict[str, Any]) -> None:
    rows = []
    for name, row in found.items():
        if row is None:
            rows.append([name, "absent", "", "", "", ""])
            continue
        wall, cost, target = row["wall_ms"], row["above_bare_ms"], row["target_ms"]
        rows.append(
            [
                name,
                f"{wall['median']:.0f} ms",
                f"{wall['min']:.0f} .. {wall['max']:.0f}",
                f"{cost['median']:.1f} ms" if cost else "",
                f"under {target:.0f} ms" if target else "",
                "" if target is None else "met" if row["meets_target"] else "missed",
            ]
        )
    print(table(("command", "wall, median", "min .. max", "above a bare python", "target", ""), rows))


def main() -> None:
    arguments = parser(__doc__, rounds=15).parse_args()
    arguments.rounds = 2 if arguments.quick else arguments.rounds
    neighbors = Neighbors(0 if arguments.quick else arguments.patience)
    found = summaries(measure(arguments.rounds, neighbors))
    show(found)
    finish("import_time", arguments, neighbors, found)


if __name__ == "__main__":
    main()
