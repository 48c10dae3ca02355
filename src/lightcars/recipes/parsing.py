"""YAML as recipes need it: plain values alone, and every mistake one line that names its place. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

from lightcars.errors import ConfigError, MissingExtraError

MAX_VALUES = 10_000
"""Values of a recipe, with aliases expanded: a few lines of nested aliases may stand for billions."""
MAX_DEPTH = 100
"""Levels of nesting."""
_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")
"""YAML's tags that a recipe may use; dates, sets and binary data are not among them."""
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
"""Numbers such as 3e-4, which YAML 1.1 takes for text."""

Places: TypeAlias = dict[tuple[str | int, ...], int]
"""Path of a key or of a list's item -> its line, counted from 1."""


def parse_yaml(text: str, origin: str) -> tuple[Any, Places]:
    """Parse YAML into plain data, with the line of each key; `origin` is named in errors.

    Raises:
        ConfigError: invalid YAML, tags of other types, keys that are not text, more than `MAX_VALUES` values
            or `MAX_DEPTH` levels, or an alias that contains itself.
        MissingExtraError: PyYAML is not installed.
    """
    with _one_line(origin):
        loader = _loader()(text)
        node = loader.get_single_node()
    if node is None:
        return None, {}
    _check(node, origin, {}, 0)
    with _one_line(origin):
        content = loader.construct_document(node)
    places: Places = {}
    _note_places(node, (), places)
    return content, places


@contextmanager
def _one_line(origin: str) -> Iterator[None]:
    yaml = _yaml()
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise ConfigError(f"{origin}{_line(mark)}: invalid YAML ({shortened(reason, text=True)}).") from error
    except (ValueError, OverflowError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise ConfigError(f"{origin}: a value does not fit its type, or is too long a number.") from error
    except RecursionError as error:
        raise ConfigError(f"{origin} is nested too deeply.") from error


def shortened(value: object, *, text: bool = False) -> str:
    """Return a value for an error message: one line, at most 80 characters."""
    line = " ".join(str(value).split()) if text else repr(value)
    return line if len(line) <= 80 else f"{line[:77]}..."


@cache
def _loader() -> Any:
    """SafeLoader for plain values alone: what looks like a date is text, other tags are errors."""
    yaml = _yaml()
    tags = {f"tag:yaml.org,2002:{name}" for name in _PLAIN}
    safe = yaml.SafeLoader
    loader: Any = type("Loader", (safe,), {})
    loader.yaml_constructors = {
        tag: make for tag, make in safe.yaml_constructors.items() if tag in {*tags, None}
    }
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in safe.yaml_implicit_resolvers.items()
    }
    loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))
    return loader


def _yaml() -> Any:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(
            "recipes need yaml, which is missing: pip install 'lightcars[cars]'"
        ) from error
    return yaml


def _check(node: Any, origin: str, sizes: dict[int, int], depth: int) -> int:
    """Return how many values a node stands for, each alias counted as often as it is used."""
    if sizes.get(id(node)) == 0:  # begun, not done
        raise ConfigError(f"{origin}{_line(node.start_mark)}: an alias contains itself.")
    if id(node) in sizes:
        return sizes[id(node)]
    if depth > MAX_DEPTH:
        raise ConfigError(f"{origin}{_line(node.start_mark)}: nested too deeply.")
    sizes[id(node)] = 0
    parts = node.value if isinstance(node.value, list) else []
    children = [child for part in parts for child in (part if isinstance(part, tuple) else (part,))]
    for key in (part[0] for part in parts if isinstance(part, tuple)):
        if not key.tag.endswith((":str", ":merge")):
            raise ConfigError(f"{origin}{_line(key.start_mark)}: a key that is not text; put it into quotes.")
    total = 1 + sum(_check(child, origin, sizes, depth + 1) for child in children)
    if total > MAX_VALUES:
        raise ConfigError(f"{origin} stands for more than {MAX_VALUES:,} values; no recipe needs that.")
    sizes[id(node)] = total
    return total


def _note_places(node: Any, path: tuple[str | int, ...], places: Places) -> None:
    entries = node.value if isinstance(node.value, list) else []
    for position, entry in enumerate(entries):
        key, value = entry if isinstance(entry, tuple) else (None, entry)
        inside = (*path, position if key is None else key.value)
        places[inside] = (value if key is None else key).start_mark.line + 1
        _note_places(value, inside, places)


def _line(mark: Any) -> str:
    return "" if mark is None else f", line {mark.line + 1}"
