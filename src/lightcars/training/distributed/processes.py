"""The processes of one run: one for each device, started by Lightning, torchrun or Slurm. No torch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightcars.errors import ConfigError
from lightcars.recipes.recipe import AUTO, FASTEST, Recipe

_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
"""Environment variables in which torchrun, Lightning and Slurm tell a process its rank."""

_MEETING_POINTS = ("MASTER_ADDR", "SLURM_JOB_ID", "LSB_JOBID")
"""Environment variables by which machines find each other."""


_DECISIONS = "LIGHTCARS_DECISIONS"
"""Environment variable by which the first process tells those that it starts what it has decided."""


def is_first_process() -> bool:
    """Tell whether this is the process that writes; each device has a process of its own."""
    return not _rank_variables()


def started_from_outside(recipe: Recipe) -> bool:
    """Tell whether the processes of a run are started at once, by torchrun or Slurm, not by the first one.

    Then the first one cannot hand on what it has decided.
    """
    several = recipe.devices * recipe.num_nodes > 1
    return several and (recipe.num_nodes > 1 or any(name in os.environ for name in _RANKS))


def hand_on(run: Path, decisions: Mapping[str, Any]) -> None:
    """Tell the processes that this one starts what was decided for a run."""
    os.environ[_DECISIONS] = json.dumps({"run": str(run), **decisions})


def handed_on(run: Path) -> dict[str, Any] | None:
    """Return what the first process has decided for a run; None in the first process itself."""
    if is_first_process():
        return None
    decisions: dict[str, Any] = json.loads(os.environ.get(_DECISIONS, "{}"))
    return decisions if decisions.pop("run", None) == str(run) else None


def check_decidable(recipe: Recipe) -> None:
    """Raise a ConfigError if each process would have to measure what is fastest, with its own outcome."""
    measures = is_first_process() or _DECISIONS not in os.environ
    for name in ("precision", "memory_format"):
        if getattr(recipe, name) == FASTEST and measures and started_from_outside(recipe):
            raise ConfigError(
                f"{name} {FASTEST} cannot be measured if each process is started separately (by torchrun or"
                f" Slurm, or on several machines); set the {name.replace('_', ' ')}, or use {AUTO}."
            )


def _rank_variables() -> list[str]:
    """Return the variables that say that this process is not the first."""
    return [name for name in _RANKS if os.environ.get(name, "").strip("0").isdigit()]


def started_by_torchrun() -> tuple[int, int] | None:
    """Return the number of processes on each machine, and of machines, if torchrun started them."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    everywhere, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    return here, everywhere // here


def with_started(recipe: Recipe) -> Recipe:
    """Return the recipe for as many devices as torchrun started processes, if it names no number.

    Raises:
        ConfigError: it names another number.
    """
    started = started_by_torchrun()
    if started is not None and (recipe.devices, recipe.num_nodes) == (1, 1):
        return replace(recipe, devices=started[0], num_nodes=started[1])
    check_processes(recipe)
    return recipe


def check_processes(recipe: Recipe) -> None:
    """Raise a ConfigError if the started processes do not fit the recipe, or cannot find each other."""
    started, wanted = started_by_torchrun(), (recipe.devices, recipe.num_nodes)
    if started is None and wanted == (1, 1) and _rank_variables():
        raise ConfigError(
            f"{_rank_variables()[0]} says that this is one process of several, but the recipe is for one;"
            " unset it, or give devices and num_nodes."
        )
    if started not in (None, wanted):
        raise ConfigError(
            f"the recipe has devices {wanted[0]} and num_nodes {wanted[1]}, but torchrun started"
            f" {started[0]} processes on each of {started[1]} machines."
        )
    if recipe.num_nodes > 1 and not any(name in os.environ for name in _MEETING_POINTS):
        raise ConfigError(
            f"num_nodes is {recipe.num_nodes}: start the command on each machine, with torchrun or Slurm, or"
            " with MASTER_ADDR, MASTER_PORT and NODE_RANK set."
        )
