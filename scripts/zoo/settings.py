"""The settings of a family's config: names and defaults from the dataclass, meanings from its docstring."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any

from lightcars.models.config import ModelConfig

_ATTRIBUTE = re.compile(r"^    (\w+(?:, \w+)*): (.*)$")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; `default` as it is written in Python, or what a table has in it."""

    name: str
    default: str
    meaning: str


def settings_of(config: type[ModelConfig]) -> list[Setting]:
    """Return the settings of a config in their order.

    Raises:
        ValueError: the docstring does not explain one.
    """
    meanings = attributes_of(config)
    found = []
    for field in fields(config):  # type: ignore[arg-type]
        if field.name not in meanings:
            raise ValueError(f"the docstring of {config.__name__} does not explain {field.name}.")
        found.append(Setting(field.name, _default(field), meanings[field.name]))
    return found


def attributes_of(kind: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of its attributes.

    "width, depth: as in `Base`" is what `Base` says.
    """
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        for name, meaning in _attributes(base).items():
            if not (meaning.startswith("as in `") and name in found):
                found[name] = meaning
    return found


def _attributes(kind: type) -> dict[str, str]:
    text = inspect.cleandoc(kind.__doc__ or "")
    _, _, section = text.partition("\nAttributes:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.split("\n\n")[0].splitlines():
        if start := _ATTRIBUTE.match(line):
            names = start[1].split(", ")
            found |= dict.fromkeys(names, start[2])
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _default(field: Field[Any]) -> str:
    rows = row_class(field)
    if rows is not None:
        return f"{len(field.default)} rows of `{rows.__name__}`"
    assert field.default is not MISSING, f"{field.name} has no default"
    return f"`{field.default!r}`".replace("'", '"')


def row_class(field: Field[Any]) -> type | None:
    """Return the dataclass of the rows of a setting that is a table; None for another setting."""
    rows = field.default
    is_table = isinstance(rows, tuple) and rows and is_dataclass(rows[0])
    return type(rows[0]) if is_table else None


def row_classes(config: type[ModelConfig]) -> list[type]:
    """Return the dataclasses of the rows of a config's tables."""
    found = (row_class(field) for field in fields(config))  # type: ignore[arg-type]
    return [rows for rows in found if rows is not None]


def changed(config: ModelConfig) -> list[str]:
    """Return the settings of a variant that are not the defaults, as keyword arguments; tables by name."""
    found = []
    for field in fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if value != field.default and field.name != "resolution":
            is_table = row_class(field) is not None
            found.append(
                f"its own `{field.name}`" if is_table else f"`{field.name}={value!r}`".replace("'", '"')
            )
    return found
