"""The files of the page, with title, colors, texts and icons filled in. No torch."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightcars.deploy.description import Description
from lightcars.errors import ConfigError
from lightcars.text import json_text
from lightcars.web.colors import PAPERS, as_hex, parse_color, theme
from lightcars.web.icons import png_icon, svg_icon
from lightcars.web.policy import content_security_policy, headers_file
from lightcars.web.texts import ENGLISH, NAME_KEY, Texts

if TYPE_CHECKING:
    from lightcars.models.car_finder import CarFinder

MODEL_FILE, FINDER_FILE = "model.onnx", "finder.onnx"
INDEX, SITE_FILE = "index.html", "site.json"
HEADERS_FILE = "_headers"
MAX_TITLE = 80
COPIED = ("app.css",)
CAR, ANYTHING = "car", "anything"
_TEXT_NODE = re.compile(r'(data-text="(\w+)"[^>]*>)(?=</)')


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOptions:
    """How the page looks.

    Attributes:
        title: of the page and of the icon on a home screen; None for "Which car is it?", or "What is it?".
        color: of buttons and icons, as "#0b6e4f"; made darker or lighter where it would not be readable.
        texts: a JSON file that changes texts or adds a language; see `texts.texts_with`.
        subject: "car" if all classes are cars, which a few texts say; else "anything".
    """

    title: str | None = None
    color: str = "#0b6e4f"
    texts: Path | None = None
    subject: str = ANYTHING

    def __post_init__(self) -> None:
        parse_color(self.color)
        if self.title is not None and not 0 < len(self.title.strip()) <= MAX_TITLE:
            raise ConfigError(
                f"a title must have 1 to {MAX_TITLE} characters, not {len(self.title.strip())}."
            )
        if self.title is not None and not self.title.strip().isprintable():
            raise ConfigError("the title has characters that cannot be shown, or that are not UTF-8.")

    @property
    def shown_title(self) -> str:
        """The title, or the default one."""
        default = "Which car is it?" if self.subject == CAR else "What is it?"
        return default if self.title is None else self.title.strip()


def page_files(
    options: PageOptions,
    description: Description,
    texts: Mapping[str, Texts],
    runtime: Mapping[str, Any],
    cdn: str | None,
    finder: CarFinder | None = None,
) -> dict[str, bytes]:
    """Return the files of the page by path, without model, runtime and service worker.

    Args:
        options: how it looks.
        description: of the model; its class names and preprocessing are known.
        texts: of all languages.
        runtime: back end -> addresses of its files.
        cdn: folder of the runtime on another site, if it is not on this one.
        finder: whose boxes are classified; None for whole pictures.
    """
    color = parse_color(options.color)
    files = {
        **_copied(),
        **{f"texts/{tag}.json": _json(given) for tag, given in texts.items()},
        SITE_FILE: _json(_site(options, description, runtime, texts, finder)),
        INDEX: _index(options, texts[ENGLISH], cdn),
        "manifest.webmanifest": _json(_manifest(options)),
        "theme.css": _theme_css(options),
        "icons/icon.svg": svg_icon(color).encode(),
        "icons/icon-192.png": png_icon(color, 192),
        "icons/icon-512.png": png_icon(color, 512),
        "icons/maskable-512.png": png_icon(color, 512, zoom=0.75),
        "icons/apple-touch-icon.png": png_icon(color, 180, zoom=0.85),
        HEADERS_FILE: headers_file(cdn).encode(),
    }
    return {name: files[name] for name in sorted(files)}


def source_text(name: str) -> str:
    """Return a file of the page as it is in this package."""
    return resources.files("lightcars.web").joinpath("site", name).read_text(encoding="utf-8")


def _copied() -> dict[str, bytes]:
    modules = resources.files("lightcars.web").joinpath("site", "app").iterdir()
    names = [*COPIED, *(f"app/{path.name}" for path in modules if path.name.endswith(".js"))]
    return {name: source_text(name).encode() for name in names}


def _site(
    options: PageOptions,
    description: Description,
    runtime: Mapping[str, Any],
    texts: Mapping[str, Texts],
    finder: CarFinder | None,
) -> dict[str, Any]:
    assert description.preprocessing is not None
    return {
        "format": 1,
        "title": options.shown_title,
        "subject": options.subject,
        "languages": [{"tag": tag, "name": given[NAME_KEY]} for tag, given in texts.items()],
        "lightcars_version": description.lightcars_version,
        "runtime": runtime,
        "model": {
            "file": MODEL_FILE,
            "name": description.model,
            "classes": description.classes,
            "preprocessing": asdict(description.preprocessing),
            "temperature": description.temperature,
            "license": description.license,
            "finder": None if finder is None else _finder(finder),
        },
    }


def _finder(finder: CarFinder) -> dict[str, Any]:
    return {
        "file": FINDER_FILE,
        "preprocessing": asdict(finder.preprocessing),
        "least_score": finder.least_score,
    }


def _index(options: PageOptions, english: Texts, cdn: str | None) -> bytes:
    """Return index.html. It holds the English texts, for browsers in which the modules do not start."""

    def with_text(node: re.Match[str]) -> str:
        return node[1] + html.escape(english.get(f"{node[2]}_{options.subject}", english[node[2]]))

    text = _TEXT_NODE.sub(with_text, source_text(INDEX))
    values = {
        "policy": content_security_policy(cdn, header=False),
        "title": options.shown_title,
        "description": english["description"],
        **{mode: as_hex(paper) for mode, paper in PAPERS.items()},
    }
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", html.escape(value))
    return text.encode()


def _manifest(options: PageOptions) -> dict[str, Any]:
    return {
        "name": options.shown_title,
        "short_name": options.shown_title,
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": as_hex(PAPERS["light"]),
        "theme_color": as_hex(parse_color(options.color)),
        "icons": [
            {"src": "icons/icon.svg", "sizes": "any", "type": "image/svg+xml"},
            {"src": "icons/icon-192.png", "sizes": "192x192", "type": "image/png"},
            {"src": "icons/icon-512.png", "sizes": "512x512", "type": "image/png"},
            {
                "src": "icons/maskable-512.png",
                "sizes": "512x512",
                "type": "image/png",
                "purpose": "maskable",
            },
        ],
    }


def _theme_css(options: PageOptions) -> bytes:
    lines = []
    for mode in PAPERS:
        found = theme(parse_color(options.color), mode)
        lines += [f"  --accent-{mode}: {found.accent};", f"  --on-accent-{mode}: {found.on_accent};"]
    return "\n".join([":root {", *lines, "}", ""]).encode()


def _json(content: Any) -> bytes:
    return (json_text(content, indent=1) + "\n").encode()


def parse_site(text: str) -> dict[str, Any]:
    """Return the content of `site.json`.

    Raises:
        ValueError: it is something else.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("format") != 1:
        raise ValueError("it is not the site.json of an exported page")
    return content
