"""Class names: how they are compared with folder names and cells of tables. No torch.

Unicode has two forms of many letters ("ë" is one character or two), and systems store folder names in either.
Names are compared in the composed form (NFC): exactly, as folder names, then by letters and digits alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache

from lightcars.errors import DataError, did_you_mean

_NOT_IN_FOLDER_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def normalized(name: str) -> str:
    """Return a name in the composed form (NFC), without white space around it.

    >>> normalized("Citroe\u0308n ") == "Citro\u00ebn"
    True
    """
    return unicodedata.normalize("NFC", name).strip()


def folder_name(name: str) -> str:
    """Return a class name as a folder name that is valid on any system.

    >>> folder_name("Ram C/V Cargo Van Minivan 2012")
    'Ram C-V Cargo Van Minivan 2012'
    """
    return _NOT_IN_FOLDER_NAMES.sub("-", normalized(name)).strip(". ") or "-"


def class_key(name: str) -> str:
    """Return the letters, their combining marks and the digits of a name, for a loose comparison.

    >>> class_key("Ram C/V_Cargo"), class_key("Citroe\u0308n") == class_key("CITRO\u00cbN")
    ('ramcvcargo', True)
    """
    folded = normalized(normalized(name).casefold())
    return "".join(character for character in folded if unicodedata.category(character)[0] in "LMN")


_FORMS: tuple[Callable[[str], str], ...] = (
    normalized,
    lambda name: normalized(name).casefold(),
    lambda name: folder_name(name).casefold(),
    class_key,
)
"""From exact to loose; the first form in which a class is found decides."""


def find_class(name: str, classes: Sequence[str]) -> int:
    """Return the label of a class, also if its name was changed to make a folder name.

    An exact match wins. Otherwise case and everything but letters and digits are ignored: "ram c_v cargo" is
    "Ram C/V Cargo". "A" and "A+" are told apart where both are classes.

    Raises:
        DataError: none of `classes`, or more than one of them; the message has the nearest ones.
    """
    for form, positions in zip(_FORMS, _positions(tuple(classes)), strict=True):
        found = positions.get(form(name), ())
        if len(found) == 1:
            return found[0]
        if found:
            names = " or ".join(classes[position] for position in found)
            raise DataError(f"{name!r} may be {names}; use the exact name.")
    raise DataError(f"{name!r} is not one of the {len(classes)} classes.{did_you_mean(name, classes)}")


@lru_cache(maxsize=16)
def _positions(classes: tuple[str, ...]) -> tuple[dict[str, tuple[int, ...]], ...]:
    """For each form, the classes that have it."""
    tables = []
    for form in _FORMS:
        table: defaultdict[str, tuple[int, ...]] = defaultdict(tuple)
        for position, known in enumerate(classes):
            table[form(known)] += (position,)
        tables.append(dict(table))
    return tuple(tables)
