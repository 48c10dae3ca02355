"""The color of the page's buttons: readable on white and on black. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lightcars.errors import ConfigError

Color = tuple[int, int, int]
PAPERS: dict[str, Color] = {"light": (255, 255, 255), "dark": (16, 20, 24)}
"""Backgrounds of the page, as in `app.css`."""
PANELS: dict[str, Color] = {"light": (242, 244, 246), "dark": (26, 32, 38)}
LEAST_CONTRAST = 4.5
"""Of text, by WCAG 2.2 at level AA."""
_HEX = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Theme:
    """Accent color for one of light and dark, and the color of text on it."""

    accent: str
    on_accent: str


def parse_color(text: str) -> Color:
    """Return the color that "#07c" or "#0077cc" names.

    Raises:
        ConfigError: anything else.
    """
    match = _HEX.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"a color must be written like #07c or #0077cc, not {text!r}.")
    digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def as_hex(color: Color) -> str:
    """Return a color as "#0077cc".

    >>> as_hex(parse_color("#07C"))
    '#0077cc'
    """
    return "#" + "".join(f"{part:02x}" for part in color)


def theme(color: Color, mode: str) -> Theme:
    """Return the nearest color that is readable in a mode, "light" or "dark"."""
    goal = 0 if mode == "light" else 255
    for step in range(101):
        mixed = tuple(round(part + (goal - part) * step / 100) for part in color)
        found: Color = (mixed[0], mixed[1], mixed[2])
        if all(contrast(found, behind) >= LEAST_CONTRAST for behind in (PAPERS[mode], PANELS[mode])):
            break
    white, black = (255, 255, 255), (0, 0, 0)
    text = white if contrast(found, white) >= contrast(found, black) else black
    return Theme(as_hex(found), as_hex(text))


def contrast(one: Color, other: Color) -> float:
    """Return the contrast ratio of two colors, 1 to 21, by WCAG 2.2.

    >>> round(contrast((0, 0, 0), (255, 255, 255)), 1)
    21.0
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: Color) -> float:
    parts = [part / 255 for part in color]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
