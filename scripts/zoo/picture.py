"""Pictures of the zoo: published ImageNet accuracy over multiply-accumulates and over parameters."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.tables.plots import SOURCE
from lightcars.models.families import FAMILIES
from lightcars.reports.tradeoffs import pareto_front
from scripts.zoo.published import PublishedModel, published_models

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette, whose colors readers with any color vision tell apart, without its yellow."""
MARKERS = "os^Dv<>PX*pdh8H1"
"""Each family has its own, so that color is never all that tells it apart."""
DPI, INCHES = 150, (7.2, 6.4)
FONT_SIZE = 7.5
NUM_COLORS = 256
LABEL_MARGIN = 2
PLACES = (
    (0, 7),
    (0, -7),
    (8, 0),
    (-8, 0),
    (7, 6),
    (-7, 6),
    (7, -6),
    (-7, -6),
    (0, 14),
    (0, -14),
    (14, 9),
    (-14, 9),
)
"""Where a label may be, in points from its marker; the first that is free is taken."""
FAR_PLACES = tuple(
    (x, y)
    for far in (18, 26, 36, 48)
    for x, y in ((far, -far), (-far, far), (far, far), (-far, -far), (far, -6))
)
"""Where it may be with a line to its marker, if those are taken."""


PICTURES: Mapping[str, tuple[str, Callable[[PublishedModel], float]]] = {
    "zoo.png": ("multiply-accumulates (millions)", lambda model: model.flops / 1e6),
    "zoo-params.png": ("parameters (millions)", lambda model: model.num_params / 1e6),
}
"""File name -> name and values of the horizontal axis."""


def digest(name: str) -> str:
    """Return a digest of the data of a picture."""
    axis, cost = PICTURES[name]
    data = [(model.name, model.tag, model.top1_percent, cost(model)) for model in published_models()]
    return hashlib.sha256(repr((axis, data)).encode()).hexdigest()


def draw_all(folder: Path) -> None:
    """Write the pictures, each with the digest of its data in its metadata."""
    for name in PICTURES:
        draw(name, folder / name)


def draw(name: str, path: Path) -> dict[str, Bbox]:
    """Write one picture; return where the labels of models are, of those for which there was room."""
    from matplotlib.figure import Figure

    axis, cost = PICTURES[name]
    models = published_models()
    front = pareto_front(models, cost)
    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.add_subplot()
    _draw_families(axes, models, cost)
    steps = [(cost(model), model.top1_percent) for model in front]
    axes.plot(*zip(*steps, strict=True), color="0.35", linestyle="--", linewidth=1, zorder=1)
    axes.scatter(
        *zip(*steps, strict=True), s=95, facecolors="none", edgecolors="0.2", zorder=4, label="Pareto front"
    )
    _finish(axes, axis)
    figure.draw_without_rendering()
    labels = _label(axes, [*front, *(model for model in models if model not in front)], cost)
    _save(figure, path, digest(name))
    return labels


def _save(figure: Figure, path: Path, source: str) -> None:
    """Write the PNG with a palette: a third of the size, and no difference to see."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    whole = io.BytesIO()
    figure.savefig(whole, dpi=DPI)
    about = PngInfo()
    about.add_text(SOURCE, source)
    with Image.open(whole) as image:
        small = image.convert("RGB").quantize(NUM_COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        small.save(path, optimize=True, pnginfo=about)


def _draw_families(
    axes: Axes, models: Sequence[PublishedModel], cost: Callable[[PublishedModel], float]
) -> None:
    for family, (color, marker) in _styles(models).items():
        own = sorted((model for model in models if model.family == family), key=cost)
        label: str | None = FAMILIES[family].model
        for series in dict.fromkeys(_series(model) for model in own):
            part = [model for model in own if _series(model) == series]
            axes.plot(
                [cost(model) for model in part],
                [model.top1_percent for model in part],
                color=color,
                marker=marker,
                markersize=9 if marker in "*XP" else 6.5,
                markeredgecolor="white",
                markeredgewidth=0.5,
                linewidth=0.7,
                label=label,
                zorder=3,
            )
            label = None  # one row of the legend for each family


def _styles(models: Sequence[PublishedModel]) -> dict[str, tuple[str, str]]:
    """Return color and marker of each family that has a point."""
    shown = [family for family in FAMILIES if any(model.family == family for model in models)]
    return {
        family: (COLORS[position % len(COLORS)], MARKERS[position]) for position, family in enumerate(shown)
    }


def _series(model: PublishedModel) -> str:
    """Return what a line of points has in common: the variant without its number."""
    return model.variant.rstrip("0123456789_")


def _darker(color: str) -> tuple[float, ...]:
    """Return a color in which small letters on white are legible."""
    from matplotlib.colors import to_rgb

    return tuple(0.68 * part for part in to_rgb(color))


def _finish(axes: Axes, axis: str) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel(f"{axis}, log scale")
    axes.set_ylabel("published ImageNet top-1 (%)")
    axes.margins(x=0.06, y=0.06)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", fontsize=8, framealpha=0.9)


def _label(
    axes: Axes, models: Sequence[PublishedModel], cost: Callable[[PublishedModel], float]
) -> dict[str, Bbox]:
    """Write each model's variant beside its point where nothing else is, if there is such a place."""
    from matplotlib.transforms import Bbox

    styles = _styles(models)
    points = [axes.transData.transform((cost(model), model.top1_percent)) for model in models]
    half = 4 * axes.figure.dpi / 72
    taken = [Bbox([(x - half, y - half), (x + half, y + half)]) for x, y in points]
    legend = axes.get_legend()
    taken += [] if legend is None else [legend.get_window_extent()]
    labels: dict[str, Bbox] = {}
    for model, (x, y) in zip(models, points, strict=True):
        point, color = (cost(model), model.top1_percent), styles[model.family][0]
        others = [box for box in (*taken, *labels.values()) if not box.contains(x, y)]
        place = _free_place(axes, model.variant, color, point, others)
        if place is not None:
            labels[model.name] = place
    return labels


def _free_place(
    axes: Axes, text: str, color: str, point: tuple[float, float], taken: Sequence[Bbox]
) -> Bbox | None:
    """Write a label where it overlaps with nothing, and return where; None if there is no such place."""
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Text

    for x, y in (*PLACES, *FAR_PLACES):
        line = {"arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 4}
        label = axes.annotate(
            text,
            point,
            xytext=(x, y),
            textcoords="offset points",
            arrowprops=line if (x, y) in FAR_PLACES else None,
            fontsize=FONT_SIZE,
            color=_darker(color),
            path_effects=[withStroke(linewidth=2, foreground="white")],
            zorder=5,
            ha="center" if x == 0 else "left" if x > 0 else "right",
            va="center" if y == 0 else "bottom" if y > 0 else "top",
        )
        label.get_window_extent()  # with the line; it moves the text to its place
        box = Text.get_window_extent(label).padded(LABEL_MARGIN)
        frame = axes.get_window_extent()
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return box
        label.remove()
    return None
