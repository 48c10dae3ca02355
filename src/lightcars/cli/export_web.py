"""The part of `lightcars export` that writes a web page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lightcars.cli.output import complain, print_json
from lightcars.errors import ConfigError

if TYPE_CHECKING:
    from lightcars.models.car_finder import CarFinder
    from lightcars.models.image_model import ImageModel
    from lightcars.web.export import WebPage

WEB = "web"
"""The value of `--to`."""
PORT = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Options of `lightcars export` that only web pages have; None or False where they were not given."""

    title: str | None = None
    color: str | None = None
    texts: Path | None = None
    runtime: Path | None = None
    cdn: bool = False
    storage: str | None = None
    serve: bool = False

    def check_unused(self) -> None:
        """Raise ConfigError if one was given for another format."""
        for name in self.__slots__:
            if getattr(self, name):
                raise ConfigError(f"--{name} is only for --to {WEB}; leave it out.")


def export_page(
    model: ImageModel,
    folder: Path,
    settings: WebSettings,
    *,
    finder: CarFinder | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write the page, print what it is, and serve it if that was asked for."""
    from lightcars.web.export import export_web
    from lightcars.web.page import PageOptions
    from lightcars.web.runtime import RuntimeOptions

    looks = {} if settings.color is None else {"color": settings.color}
    written = export_web(
        model,
        folder,
        page=PageOptions(title=settings.title, texts=settings.texts, subject=_subject(model), **looks),
        runtime=RuntimeOptions(source=settings.runtime, cdn=settings.cdn),
        finder=finder,
        **({} if settings.storage is None else {"storage": settings.storage}),  # type: ignore[arg-type]
        force=force,
        say=complain,
    )
    if as_json:
        print_json(_plain(written))
    else:
        _print(written)
    if settings.serve:
        from lightcars.cli.serve import serve_site

        serve_site(folder, PORT)


def _subject(model: ImageModel) -> str:
    """Return "car" if all classes are those of Stanford Cars."""
    from lightcars.data.stanford_cars import CLASS_NAMES
    from lightcars.web.page import ANYTHING, CAR

    return CAR if model.classes is not None and set(model.classes) <= set(CLASS_NAMES) else ANYTHING


def _plain(page: WebPage) -> dict[str, Any]:
    return {
        "path": str(page.path),
        "size_bytes": page.size_bytes,
        "page_bytes": page.page_bytes,
        "model_bytes": page.model_bytes,
        "runtime_bytes": page.runtime_bytes,
        "difference": page.difference,
        "stored_difference": page.stored_difference,
    }


def _print(page: WebPage) -> None:
    parts = ", ".join(
        f"{name} {size / 1e6:.1f} MB"
        for name, size in (
            ("page", page.page_bytes),
            ("model", page.model_bytes),
            ("runtime", page.runtime_bytes),
        )
    )
    typer.echo(f"{page.path}: {page.size_bytes / 1e6:.1f} MB ({parts})")
    typer.echo(
        f"ONNX Runtime differs from PyTorch by at most {page.difference:.1e} of the largest output,"
        f" {page.stored_difference:.1e} with the stored weights"
    )
    typer.echo(f"try it: lightcars serve {page.path}")
