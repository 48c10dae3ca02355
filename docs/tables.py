"""The tables in README.md and docs/models.md, from the registry; `python docs/tables.py` rewrites them."""

from __future__ import annotations

import re
from pathlib import Path

from lightcars.models.registry import MODELS

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "models.md")
BEGIN, END = "<!-- models: made by docs/tables.py -->\n", "<!-- end -->"


def model_table() -> str:
    """All registered models, in Markdown."""
    lines = ["| model | parameters | FLOPs | input | paper |", "|---|---:|---:|---:|---|"]
    lines += [
        f"| `{name}` | {e.num_params:,} | {e.flops:,} | {e.config.resolution} px | {e.paper} |"
        for name, e in MODELS.items()
    ]
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """The page with its table made anew."""
    return re.sub(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}",
        lambda _: BEGIN + model_table() + END,
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")
