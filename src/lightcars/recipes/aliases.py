"""Renamed keys of recipes: the old spelling works until `renamed.GONE_IN`, with a warning. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from lightcars.errors import ConfigError
from lightcars.renamed import warn_renamed

RENAMED: Mapping[tuple[str, ...], str] = MappingProxyType(
    {
        ("images_on_device",): "photos_on_device",
        ("augment", "images"): "photos",
        ("optimizer", "backbone_lr_factor"): "trunk_lr_factor",
    }
)
"""Path of a key -> how its last part was spelled before."""


def with_new_keys(content: Mapping[str, Any], origin: str, *, warn: bool = True) -> dict[str, Any]:
    """Return a recipe's plain data with the renamed keys in their new spelling; `content` is not changed.

    Raises:
        ConfigError: a key is there in both spellings.
    """
    result = dict(content)
    for path, old in RENAMED.items():
        section = result
        for name in path[:-1]:
            if not isinstance(section.get(name), Mapping):
                break
            section[name] = section = dict(section[name])
        else:
            if old in section:
                _rename(section, path, old, origin)
                if warn:
                    warn_of((*path[:-1], old), origin)
    return result


def _rename(section: dict[str, Any], path: Sequence[str], old: str, origin: str) -> None:
    if path[-1] in section:
        raise ConfigError(f"{origin}: {old} is the old name of {path[-1]}; leave one of them out.")
    section[path[-1]] = section.pop(old)


def new_path(path: Sequence[str | int]) -> tuple[str | int, ...]:
    """Return the path of a key in its new spelling."""
    for new, old in RENAMED.items():
        if tuple(path[: len(new)]) == (*new[:-1], old):
            return (*new, *path[len(new) :])
    return tuple(path)


def old_key(key: str) -> str:
    """Return the old spelling of a dotted key, for digests that were made with it."""
    for new, old in RENAMED.items():
        if key == ".".join(new) or key.startswith(".".join(new) + "."):
            return ".".join([*new[:-1], old]) + key.removeprefix(".".join(new))
    return key


def warn_of(path: Sequence[str | int], origin: str) -> None:
    """Warn that a key is in its old spelling."""
    old, new = (".".join(str(part) for part in each) for each in (path, new_path(path)))
    warn_renamed(f"{origin}: {old}", new, stacklevel=5)
