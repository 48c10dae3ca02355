"""What runs the pages of the documentation: their blocks, marks, and the environment of a reader."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
PAGES = [page for page in PAGES if page.is_file() and "_build" not in page.parts]
FENCE = re.compile(r"^( *)```(\w+)(?: ([\w-]+))?\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
WHOLE = "whole-page"
"""Mark of a Python block that needs the blocks before it, or takes long: it runs with its whole page only."""
SKIP = "no-run-"
"""A mark of a block that does not run begins so, and ends with a reason."""


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    page: Path
    line: int
    language: str
    mark: str
    source: str

    @property
    def runs(self) -> bool:
        return not self.mark.startswith(SKIP)

    @property
    def reason(self) -> str:
        """Why it does not run."""
        return self.mark.removeprefix(SKIP)


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that are Python or shell."""
    text = page.read_text()
    return [
        Block(page, text[: match.start()].count("\n") + 1, match[2], match[3] or "", match[4])
        for match in FENCE.finditer(text)
        if match[2] in ("python", "sh")
    ]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@dataclass(frozen=True)
class Reader:
    """Someone who follows a page in a folder, offline, with the programs of `tests/docs/programs.py`."""

    folder: Path
    programs: Path
    caches: Path

    def environment(self) -> dict[str, str]:
        """Return the environment of the shell: our programs first, this source, no network, empty caches."""
        nowhere = "http://127.0.0.1:9"
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("LIGHTCARS_")},
            "PATH": os.pathsep.join(
                [str(self.programs), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "OMP_NUM_THREADS": "1",
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
            "no_proxy": "localhost,127.0.0.1",
            "HF_HOME": str(self.caches / "hub"),
            "LIGHTCARS_CACHE": str(self.caches / "lightcars"),
            "LIGHTCARS_PREDICT_CACHE": "0",
        }

    def run(self, block: Block, session: dict[str, Any]) -> None:
        """Run a block; Python blocks of a page share their names, as in one session."""
        place = f"{name(block.page)}:{block.line}"
        if block.language == "python":
            exec(compile("\n" * block.line + block.source, str(block.page), "exec"), session)
            return
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.source],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert ended.returncode == 0, (
            f"{place}\n{block.source}\n{ended.stdout[-2000:]}\n{ended.stderr[-3000:]}"
        )


def install_programs(folder: Path) -> None:
    """Write the programs of `tests/docs/programs.py` into a folder for PATH."""
    from tests.docs.programs import PROGRAMS

    folder.mkdir()
    for program in PROGRAMS:
        path = folder / program
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.docs.programs {program} "$@"\n')
        path.chmod(0o755)
