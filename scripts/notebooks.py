"""Run the notebooks of docs/tutorials and store their outputs: `python -m scripts.notebooks [NAME ...]`.

Each runs in an empty folder. Progress bars, warnings and other text on standard error are left out.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from lightcars.files import write_text

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
TIMEOUT_S = 300
"""The longest time that one cell may take, in seconds."""


def run(path: Path, folder: Path) -> Any:
    """Return the notebook with the outputs that it has when it runs in `folder`."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=TIMEOUT_S, startup_timeout=TIMEOUT_S, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("names", nargs="*", metavar="NAME", help="notebooks, without .ipynb; all by default")
    named = [TUTORIALS / f"{name}.ipynb" for name in options.parse_args().names]
    for path in named or sorted(TUTORIALS.glob("*.ipynb")):
        print(path.name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            write_text(path, nbformat.writes(run(path, Path(folder))) + "\n")


if __name__ == "__main__":
    main()
