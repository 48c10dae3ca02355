"""Wall-clock time of whole commands, interpreter included."""

from __future__ import annotations

import subprocess

from benchmarks.harness.rounds import seconds


def works(command: list[str]) -> bool:
    """Tell whether the command runs without an error; also warms the file cache."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def wall_ms(command: list[str]) -> float:
    """Return the milliseconds from start to end of one command."""
    return 1000 * seconds(lambda: subprocess.run(command, capture_output=True, check=True))
