"""The processes of one run: one for each device, started by Lightning, torchrun or Slurm. No torch."""

from __future__ import annotations

import os
from dataclasses import replace

from lightcars.errors import ConfigError
from lightcars.recipes.recipe import Recipe

_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
"""Where torchrun, Lightning and Slurm tell a process its number."""

_MEETING_POINTS = ("MASTER_ADDR", "SLURM_JOB_ID", "LSB_JOBID")
"""Where torchrun, the user, Slurm and LSF tell machines how to find each other."""


def is_first_process() -> bool:
    """Whether this is the process that writes; with several devices each has one of its own."""
    return not _rank_variables()


def _rank_variables() -> list[str]:
    """Where this process is told that it is not the first."""
    return [name for name in _RANKS if os.environ.get(name, "").strip("0").isdigit()]


def started_by_torchrun() -> tuple[int, int] | None:
    """Processes on each machine, and machines, if torchrun started them."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    everywhere, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    return here, everywhere // here


def with_started(recipe: Recipe) -> Recipe:
    """The recipe for as many devices as torchrun started processes, if it says nothing else.

    Raises:
        ConfigError: it says something else.
    """
    started = started_by_torchrun()
    if started is not None and (recipe.devices, recipe.num_nodes) == (1, 1):
        return replace(recipe, devices=started[0], num_nodes=started[1])
    check_processes(recipe)
    return recipe


def check_processes(recipe: Recipe) -> None:
    """Raises a ConfigError if other processes were started than the recipe needs, or they cannot meet."""
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
            f"num_nodes {recipe.num_nodes} needs a start on each machine, by torchrun or Slurm, or with"
            " MASTER_ADDR, MASTER_PORT and NODE_RANK set."
        )
