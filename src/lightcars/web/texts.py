"""The texts of the page: English, Polish, and those of a file. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from lightcars.errors import ConfigError, did_you_mean

Texts = Mapping[str, str]
ENGLISH = "en"
NAME_KEY = "language_name"
"""Text that names the language in itself; it has to be there for a new one."""
SHIPPED = (ENGLISH, "pl")
CAR_ENDING = "_car"
"""Ends the keys of texts that pages about cars show in place of those without it."""
MAX_BYTES = 1 << 20


def shipped_texts() -> dict[str, Texts]:
    """Return the texts that come with the page, by language."""
    folder = resources.files("lightcars.web").joinpath("site/texts")
    return {tag: json.loads(folder.joinpath(f"{tag}.json").read_text(encoding="utf-8")) for tag in SHIPPED}


def texts_with(path: Path | None) -> dict[str, Texts]:
    """Return the texts of all languages, English first, with those of a file.

    The file is a JSON object of languages, each an object of texts: `{"en": {"hint": "Show me a bird."}}`.
    Keys are those of `site/texts/en.json`. A new language needs its own name as "language_name"; keys that
    it leaves out are English. A text without "_car" replaces the one for cars too.

    Raises:
        ConfigError: the file cannot be read, or has something else in it.
    """
    known: dict[str, Texts] = shipped_texts()
    english = known[ENGLISH]
    for tag, given in ({} if path is None else _read(path)).items():
        if not isinstance(given, dict) or not all(_is_text(text) for text in given.values()):
            raise ConfigError(f"{path}: {tag} must be an object of texts in valid Unicode.")
        unknown = next((key for key in given if key not in english), None)
        if unknown is not None:
            raise ConfigError(f"{path}: the page has no text {unknown!r}.{did_you_mean(unknown, english)}")
        if tag not in known and NAME_KEY not in given:
            raise ConfigError(f"{path}: the language {tag} needs its name, as {NAME_KEY!r}.")
        before = known.get(tag, english)
        kept = {key: text for key, text in before.items() if _of_all(key) not in given}
        known[tag] = {**kept, **given}
    return known


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is too large for texts.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON in UTF-8 ({error}).") from error
    if not isinstance(content, dict) or not all(_is_tag(tag) for tag in content):
        raise ConfigError(f'{path} must be a JSON object of languages, such as {{"en": {{...}}}}.')
    return content


def _of_all(key: str) -> str | None:
    """Return "hint" for "hint_car", whose place it takes on pages about cars; None for other texts."""
    return key.removesuffix(CAR_ENDING) if key.endswith(CAR_ENDING) and key != "no_car" else None


def _is_text(text: object) -> bool:
    """Return whether it is a string that can be written as UTF-8: JSON may hold half of a character."""
    return isinstance(text, str) and text == text.encode(errors="replace").decode()


def _is_tag(tag: str) -> bool:
    return tag.isascii() and tag.isalpha() and tag.islower() and len(tag) in (2, 3)
