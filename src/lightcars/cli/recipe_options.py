"""Options of `lightcars finetune` that set a recipe's keys; its dataclasses give defaults and choices."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer

from lightcars.errors import ConfigError
from lightcars.recipes.recipe import STEPWISE, Recipe

KEYS: Mapping[str, str] = {
    "model": "model.name",
    "weights": "model.weights",
    "img_channels": "model.settings.img_channels",
    "width": "model.settings.width",
    "out_channels": "model.settings.out_channels",
    "dropout": "model.settings.dropout",
    "learning_rate": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "schedule": "schedule.name",
    "warmup_epochs": "schedule.warmup_epochs",
    **{
        name: name
        for name in (
            "epochs",
            "resolution",
            "batch_size",
            "seed",
            "label_smoothing",
            "patience",
            "select_on",
            "precision",
            "memory_format",
            "compile",
            "gradient_checkpointing",
            "accelerator",
            "devices",
            "num_nodes",
            "workers",
        )
    },
}
"""Option -> key of the recipe."""


def recipe_option(
    name: str,
    text: str,
    *,
    otherwise: str = "",
    flag: str = "",
    complete: Callable[[str], list[str]] | None = None,
) -> Any:
    """Make the option for a key of the recipe; choices and default in its help are the key's.

    Args:
        name: of the option, in `KEYS`.
        text: the help; "{choices}" in it stands for the values that the key may have.
        otherwise: what applies where the recipe has no value of its own, as the default to show.
        flag: of the option, where it is not that of the name.
        complete: for tab completion.
    """
    hint, default = field_of(KEYS[name])
    flag = flag or f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        shown = flag.removeprefix("--") if default else f"no-{flag.removeprefix('--')}"
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    else:
        shown = (
            otherwise if default is None else f"{default:g}" if isinstance(default, float) else str(default)
        )
    text = text.format(choices=", ".join(choices_of(hint)))
    return typer.Option(flag, help=f"{text} \\[default: {shown}].", autocompletion=complete)


def field_of(key: str) -> tuple[Any, Any]:
    """Return the type and the default of a recipe's key; (Any, None) for settings of the model."""
    hint: Any = Recipe
    value: Any = Recipe()
    for part in key.split("."):
        if not is_dataclass(value):
            return Any, None
        hint, value = get_type_hints(type(value))[part], getattr(value, part)
    return hint, value


def choices_of(hint: Any) -> tuple[str, ...]:
    """Return the values that a type allows by name; none if it is not a `Literal`."""
    return tuple(str(value) for value in get_args(hint)) if get_origin(hint) is Literal else ()


def names_a_recipe(given: Mapping[str, Any], settings: list[str]) -> bool:
    """Return whether the options name a recipe, a model or weights to start from."""
    named = {"recipe", "model", "weights"} & given.keys()
    return bool(named) or any(change.startswith(f"{KEYS['model']}=") for change in settings)


def recipe_from_options(
    given: Mapping[str, Any], name: str | None, settings: list[str], resumed: Path | None
) -> Recipe:
    """Build the recipe from the options, on top of the named one, the resumed run's, or the defaults."""
    from lightcars.recipes.files import load_recipe, parse_recipe
    from lightcars.runs.folder import RunFolder

    changes = [f"{KEYS[key]}={json.dumps(value)}" for key, value in given.items() if key in KEYS]
    changes += ["augment.images=[]"] if given.get("augment") is False else []
    changes += ["test=true"] if given["test"] else []
    changes = [*_cleared(given, name), *changes, *settings] if resumed is None else changes + settings
    if resumed is not None:
        if name is not None:
            raise ConfigError("a resumed run keeps its recipe; leave --recipe out.")
        return parse_recipe(json.dumps(RunFolder(resumed).read().recipe.to_dict()), str(resumed), changes)
    return parse_recipe("{}", "the recipe", changes) if name is None else load_recipe(name, changes)


def _cleared(given: Mapping[str, Any], name: str | None) -> list[str]:
    """Return changes that remove what another model or schedule cannot take over from the recipe's."""
    from lightcars.recipes.files import load_recipe
    from lightcars.renamed import RenamedKeyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RenamedKeyWarning)  # it comes when the recipe itself is loaded
        base = Recipe() if name is None else load_recipe(name)
    cleared = []
    if given.get("model", base.model.name) != base.model.name:
        cleared += ["name=null", "model.settings={}", "model.weights=null"]
    if given.get("schedule", base.schedule.name) != base.schedule.name:
        cleared += ["name=null", "schedule.settings={}"]
        cleared += [] if given["schedule"] in STEPWISE else ["schedule.warmup_epochs=0"]
    return cleared
