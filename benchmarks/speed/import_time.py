"""How long must one wait for `import lightcars` and for `lightcars list`?

Method: every sample is a fresh interpreter, timed from outside; the commands take turns within a round, after
one round that only warms the file cache. An import's cost is its time less that of `python -c pass` in the
same round. The command line is timed as a user feels it, interpreter included.

Reading: `import lightcars` should cost under 50 ms, because it must not import torch; the command line
should answer under 300 ms. timm, torchvision and torch are there for scale. "absent" is a command that
failed.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from harness import parser, rotated, seconds
from neighbours import Neighbours
from ratios import rounded, summary, table
from record import finish

BARE = "python -c pass"
IMPORT_TARGET_MS, COMMAND_TARGET_MS = 50.0, 300.0


def commands() -> dict[str, list[str]]:
    """What is timed, by the name it is shown under."""
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


def works(command: list[str]) -> bool:
    """Whether it runs without an error; also warms the file cache."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def wall_ms(command: list[str]) -> float:
    """Milliseconds from start to end of one command."""
    return 1000 * seconds(lambda: subprocess.run(command, capture_output=True, check=True))


def measure(rounds: int, neighbours: Neighbours) -> dict[str, list[float] | None]:
    """Milliseconds of each command, one per round; None for one that fails."""
    known = commands()
    present = [name for name, command in known.items() if works(command)]
    samples: dict[str, list[float]] = {name: [] for name in present}
    for turn in range(rounds):
        for name in rotated(present, turn):
            samples[name].append(neighbours.undisturbed(partial(wall_ms, known[name])))
    return {name: samples.get(name) for name in known}


def figures(samples: dict[str, list[float] | None]) -> dict[str, Any]:
    """Per command: wall time and, for imports, the cost above a bare interpreter."""
    bare = samples[BARE]
    assert bare is not None
    found: dict[str, Any] = {}
    for name, times in samples.items():
        if times is None:
            found[name] = None
            continue
        target = TARGETS_MS.get(name)
        cost = [time - idle for time, idle in zip(times, bare, strict=True)]
        judged = median(cost if name.startswith("import") else times)
        found[name] = {
            "wall_ms": summary([times]),
            "above_bare_ms": summary([cost]) if name.startswith("import") else None,
            "target_ms": target,
            "figure_ms": rounded(judged),
            "meets_target": None if target is None else judged < target,
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
    neighbours = Neighbours(0 if arguments.quick else arguments.patience)
    found = figures(measure(arguments.rounds, neighbours))
    show(found)
    finish("import_time", arguments, neighbours, found)


if __name__ == "__main__":
    main()
