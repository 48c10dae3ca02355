"""What README.md and docs/ show of the registry and of results; `python docs/tables.py` makes it anew."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from lightcars.models.registry import MODELS

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "benchmarks"))

import cars_tables  # noqa: E402 - scripts in a folder of their own
import plots  # noqa: E402
import speed_tables  # noqa: E402
from record import records  # noqa: E402

PAGES = (
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("models", "deploy", "benchmarks", "cars196")),
)
IMAGES = ROOT / "docs" / "images"
BLOCK = re.compile(r"(<!-- ([a-z-]+): made by docs/tables\.py -->\n).*?(<!-- end -->)", re.DOTALL)


def model_table() -> str:
    """All registered models, in Markdown."""
    lines = ["| model | parameters | FLOPs | input | paper |", "|---|---:|---:|---:|---|"]
    lines += [
        f"| `{name}` | {e.num_params:,} | {e.flops:,} | {e.config.resolution} px | {e.paper} |"
        for name, e in MODELS.items()
    ]
    return "\n".join(lines) + "\n"


def blocks() -> Mapping[str, Callable[[], str]]:
    """What the pages can ask for, by name."""
    found = records()
    return {
        "models": model_table,
        "how-fast": partial(speed_tables.how_fast, found),
        "fused": partial(speed_tables.fused, found),
        "deployed": partial(speed_tables.deployed, found),
        "picture": partial(picture, "speed.png", "How many times faster than eager peers"),
        "trained": partial(speed_tables.trained, found),
        "checkpointed": partial(speed_tables.checkpointed, found),
        "outside": partial(speed_tables.outside, found),
        "gpu": partial(speed_tables.on_gpu, found),
        "gpu-picture": partial(picture, "speed-gpu.png", "How many times faster than timm's eager model"),
        "machines": speed_tables.other_machines,
        "search": partial(cars_tables.search, found),
        "first-answer": partial(cars_tables.answers, found),
        "shipped": partial(cars_tables.shipped, found),
        "strange": partial(cars_tables.strange, found),
        "changed": partial(cars_tables.changed, found),
    }


def picture(name: str, says: str) -> str:
    """The picture, if there are figures for one."""
    return f"![{says}](images/{name})\n" if plots.PICTURES[name](records()) else ""


def with_blocks(text: str) -> str:
    """The page with all that is generated made anew."""
    known = blocks()
    return BLOCK.sub(lambda block: block[1] + known[block[2]]() + block[3], text)


if __name__ == "__main__":
    plots.draw_all(records(), IMAGES)
    cars_tables.draw_curves(records(), IMAGES / cars_tables.SEARCH_PICTURE)
    for page in PAGES:
        page.write_text(with_blocks(page.read_text(encoding="utf-8")), encoding="utf-8")
