"""Recipes as YAML: those that ship, your own files, and changes on the command line. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lightcars.errors import ConfigError, MissingExtraError, did_you_mean
from lightcars.recipes.aliases import new_path, warn_of, with_new_keys
from lightcars.recipes.parsing import parse_yaml, shortened
from lightcars.recipes.recipe import DistillationRecipe, ProgressiveRecipe, Recipe

SUFFIXES = (".yaml", ".yml")
MAX_BYTES = 256 << 10
"""Largest file that is read as a recipe."""


def recipe_names() -> list[str]:
    """Return the names of the recipes that ship, in the order of their numbers."""
    names = [path.name.removesuffix(".yaml") for path in _folder().iterdir() if path.name.endswith(".yaml")]
    return sorted(names, key=_natural)


def recipe_text(name: str) -> str:
    """Return the YAML of a recipe that ships.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in recipe_names():
        raise ConfigError(
            f"there is no recipe {name!r}.{did_you_mean(name, recipe_names())} See `lightcars recipes`."
        )
    return str((_folder() / f"{name}.yaml").read_text(encoding="utf-8"))


def load_recipe(name: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Load a recipe that ships, by name, or one from a YAML file.

    Args:
        name: of the recipe, or the path of a file ending in .yaml.
        changes: "key=value", keys with dots ("optimizer.lr=3e-4"), values in YAML; they win.

    Raises:
        ConfigError: no such recipe; an unknown key, a wrong type or an invalid value, with its line.
    """
    path = Path(name)
    if path.suffix in SUFFIXES:
        text, origin = _file_text(path), str(path)
    else:
        text, origin = recipe_text(str(name)), f"recipe {name}"
    return parse_recipe(text, origin, changes)


def parse_recipe(text: str, origin: str, changes: Sequence[str] = ()) -> Recipe:
    """Parse a recipe from YAML; `origin` is named in errors. See `load_recipe`."""
    content, places = parse_yaml(text, origin)
    if not isinstance(content, dict):
        raise ConfigError(f"{origin} must be a mapping of names to values, not {type(content).__name__}.")
    content = with_new_keys(content, origin)
    lines = {new_path(path): f"line {line}" for path, line in places.items()}
    for change in changes:
        keys, value = _parse_change(change)
        _put(content, keys, value, change)
        lines[tuple(keys)] = f"--set {shortened(change, text=True)}"
    return _validated(content, origin, lines)


def recipe_from(data: Mapping[str, Any], origin: str) -> Recipe:
    """Return a recipe from plain data, as in `run.json`; old spellings of keys are fine there."""
    return _validated(with_new_keys(data, origin, warn=False), origin, {})


def _folder() -> Any:
    return files("lightcars.recipes") / "named"


def _natural(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if number.isdigit() else (name, 0)


def _file_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for its writer
            raise ConfigError(f"the recipe {path} is not a file.")
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"the recipe {path} has more than {MAX_BYTES >> 10} KiB, which is the limit.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the recipe {path} cannot be read ({error}).") from error


def _pydantic() -> Any:
    try:
        import pydantic
    except ImportError as error:
        raise MissingExtraError(
            "recipes need pydantic, which is missing: pip install 'lightcars[cars]'"
        ) from error
    return pydantic


@cache
def _validator() -> Any:
    """Return what validates recipes; building it takes longer than its use."""
    return _pydantic().TypeAdapter(Recipe)


def _parse_change(change: str) -> tuple[list[str], Any]:
    key, equals, value = change.partition("=")
    origin = f"--set {shortened(change, text=True)}"
    if not equals or not key:
        raise ConfigError(f"{origin}: write key=value, such as optimizer.lr=3e-4.")
    path = key.split(".")
    if new_path(path) != tuple(path):
        warn_of(path, "--set")
    return [str(part) for part in new_path(path)], parse_yaml(value, origin)[0]


def _put(content: dict[str, Any], keys: Sequence[str], value: Any, change: str) -> None:
    for key in keys[:-1]:
        inside = content.get(key)
        if inside is None:
            inside = content[key] = {}
        if not isinstance(inside, dict):
            raise ConfigError(f"--set {shortened(change, text=True)}: {key} is not a section.")
        content = inside
    content[keys[-1]] = value


def _validated(content: dict[str, Any], origin: str, lines: Mapping[tuple[str | int, ...], str]) -> Recipe:
    pydantic = _pydantic()
    try:
        recipe = _validator().validate_json(json.dumps(content))
    except RecursionError as error:
        raise ConfigError(f"{origin} is nested too deeply.") from error
    except pydantic.ValidationError as error:
        problems = sorted(error.errors(), key=lambda problem: problem["type"] == "missing")  # misspelt first
        raise ConfigError(_explain(problems[0], origin, lines)) from error
    assert isinstance(recipe, Recipe)
    place = next(_infinite(recipe.to_dict(), ()), None)
    if place is not None:
        raise ConfigError(f"{_where(place, origin, lines)}: {_key(place)}: it must be a finite number.")
    return recipe


def _infinite(content: Any, place: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield the places of numbers that are NaN or infinite, which `run.json` cannot hold."""
    if isinstance(content, float) and not math.isfinite(content):
        yield place
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _infinite(value, (*place, key))
    elif isinstance(content, list | tuple):
        for number, value in enumerate(content):
            yield from _infinite(value, (*place, number))


def _where(place: tuple[str | int, ...], origin: str, lines: Mapping[tuple[str | int, ...], str]) -> str:
    line = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)
    return f"{origin}, {line}" if line else origin


def _key(place: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in place)


def _explain(problem: Mapping[str, Any], origin: str, lines: Mapping[tuple[str | int, ...], str]) -> str:
    """Return one line with file, line, key and problem."""
    place = tuple(problem["loc"])
    cause = problem.get("ctx", {}).get("error")
    text = str(cause) if isinstance(cause, ConfigError) else str(problem["msg"])
    named = (*place, *text.split(" ", 1)[0].rstrip(":").split("."))
    if isinstance(cause, ConfigError) and named in lines:
        place = named
    key = _key(place)
    if problem["type"] == "unexpected_keyword_argument":
        known = _known_keys(place[:-1])
        text = f"there is no such setting.{did_you_mean(place[-1], known)}"
    elif problem["type"] == "missing":
        text = "it is missing."
    elif not isinstance(cause, ConfigError):
        text = f"{text[0].lower()}{text[1:]}, not {shortened(problem['input'])}."
    return f"{_where(place, origin, lines)}: {key}: {text}" if key else f"{origin}: {text}"


def _known_keys(place: Sequence[str | int]) -> list[str]:
    from dataclasses import fields, is_dataclass

    value: Any = Recipe(
        progressive=ProgressiveRecipe(start_resolution=32), distillation=DistillationRecipe(teacher="")
    )
    for part in place:
        value = getattr(value, str(part), None)
    return [known.name for known in fields(value)] if is_dataclass(value) else []
