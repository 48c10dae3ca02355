"""Whether progress bars are shown: in notebooks by default, elsewhere on request. No torch."""

from __future__ import annotations

import sys


def in_notebook() -> bool:
    """Return whether this process runs the cells of a notebook (Jupyter, Colab, VS Code)."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def wants_progress(progress: bool | None) -> bool:
    """Return the `progress` of a public function as a bool: None means in notebooks alone."""
    return in_notebook() if progress is None else progress


def shows_bars(progress: bool) -> bool:
    """Return whether bars that are wanted can be shown: on a terminal or in a notebook, not in a file."""
    return progress and (sys.stderr.isatty() or in_notebook())
