"""Old names of arguments and attributes, which work until `GONE_IN`, with a warning. No torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")

GONE_IN = "0.3.0"
"""The version without the old names; docs/versions.md promises that they stay for one minor version."""


class RenamedKeyWarning(FutureWarning):
    """A recipe's key, an argument or an attribute has its old name, which works until `GONE_IN`."""


def takes_old_names(**renamed: str) -> Callable[[type[T]], type[T]]:
    """Let a keyword-only dataclass know its fields' old names, with a warning: `takes_old_names(old="new")`.

    They work as arguments, in `dataclasses.replace`, and as attributes. `replace` passes the fields that stay
    under their new names, so that an old name wins over its new one.
    """

    def wrap(kind: type[T]) -> type[T]:
        init: Any = kind.__init__

        @wraps(init)
        def __init__(self: Any, **settings: Any) -> None:  # noqa: N807
            for old in sorted(renamed.keys() & settings.keys()):
                warn_renamed(f"{kind.__name__}: {old}", renamed[old], stacklevel=2)
                settings[renamed[old]] = settings.pop(old)
            init(self, **settings)

        kind.__init__ = __init__  # type: ignore[method-assign]
        for old, new in renamed.items():
            setattr(kind, old, _old_attribute(kind.__name__, old, new))
        return kind

    return wrap


def _old_attribute(kind: str, old: str, new: str) -> property:
    def read(self: Any) -> Any:
        warn_renamed(f"{kind}: {old}", new, stacklevel=2)
        return getattr(self, new)

    return property(read, doc=f"Deprecated name of `{new}`.")


def warn_renamed(old: str, new: str, *, stacklevel: int) -> None:
    """Warn of an old name; `stacklevel` is as in `warnings.warn`, seen from the caller."""
    warnings.warn(renamed_text(old, new), RenamedKeyWarning, stacklevel=stacklevel + 1)


def renamed_text(old: str, new: str) -> str:
    """Return the sentence of a warning about an old name."""
    return f"{old} is now called {new}; the old name works until {GONE_IN}."
