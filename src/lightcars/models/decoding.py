"""Dataclasses back from plain data, such as JSON, by their type hints. No torch."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from lightcars.errors import ConfigError

T = TypeVar("T")

NEWER = "a newer lightcars may have written it"


def decode(kind: type[T], data: object) -> T:
    """Return the dataclass `kind` that `dataclasses.asdict` and JSON made `data` of.

    Understands numbers, strings, booleans, None, `Literal`, unions, tuples of any length and dataclasses.
    What `data` leaves out takes its default.

    Raises:
        ConfigError: no mapping, an unknown or missing field, or a value of another type or out of range.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{kind.__name__} must be a mapping of settings, not {data!r}")
    known = {field.name: field for field in fields(cast(Any, kind))}
    unknown = sorted(str(key) for key in data if key not in known)
    if unknown:
        raise ConfigError(f"unknown settings {', '.join(unknown)}; {NEWER}")
    missing = [
        name
        for name, field in known.items()
        if name not in data and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise ConfigError(f"{kind.__name__} lacks {', '.join(missing)}")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], value, name) for name, value in data.items()})


def _value(hint: Any, value: object, name: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, name)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_value(arguments[0], item, name) for item in value)
    if is_dataclass(hint):
        return decode(cast(type[Any], hint), value)
    if not _fits(hint, value):
        raise ConfigError(f"{name} must be {_words(hint)}, not {value!r}")
    return value


def _one_of(hints: tuple[Any, ...], value: object, name: str) -> Any:
    for hint in hints:
        try:
            return _value(hint, value, name)
        except ConfigError:
            continue
    raise ConfigError(f"{name} must be {' or '.join(map(_words, hints))}, not {value!r}")


def _fits(hint: Any, value: object) -> bool:
    if hint is Any:
        return True
    if hint is type(None):
        return value is None
    if get_origin(hint) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in get_args(hint))
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return get_origin(hint) is None and isinstance(value, hint)


def _words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    if get_origin(hint) is tuple:
        return "a list"
    return {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        type(None): "null",
    }.get(hint, getattr(hint, "__name__", str(hint)))
