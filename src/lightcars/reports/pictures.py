"""Plots as PNG: the curves of a run, an image with its prediction or its Grad-CAM map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from lightcars.plots import (
    COLORS,
    HEAT_MAP,
    TRAIN_COLOR,
    VAL_COLOR,
    house_style,
    new_figure,
    plain_text,
    write_figure,
)
from lightcars.reports.axes import is_drawn, is_flattened
from lightcars.runs.folder import Row, best_row
from lightcars.runs.selection import shown_split

if TYPE_CHECKING:
    from PIL import Image

    from lightcars.evaluation.activation_map import ExplainedImage
    from lightcars.evaluation.guesses import Prediction


BOX_COLOR, OTHER_BOX_COLOR = COLORS[1], COLORS[7]
"""Of the box that was classified, and of other cars."""
LABEL_WIDTH = 30
"""Characters of a line of a class name beside its bar."""


def draw_curves(rows: Sequence[Row], path: Path, *, select_on: str = "val") -> None:
    """Draw loss, top-1 accuracy and learning rate over the epochs, as a PNG; a ring marks the best epoch."""
    epochs, best = [row["epoch"] for row in rows], best_row(rows)
    with house_style():
        figure = new_figure(width=10.0, height=3.2)
        loss, accuracy, rate = figure.subplots(1, 3)
        for axes, name, title in ((loss, "loss", "loss"), (accuracy, "top1_percent", "top-1 (%)")):
            values = {split: [row[f"{split}_{name}"] for row in rows] for split in ("train", "val")}
            axes.plot(epochs, values["train"], color=TRAIN_COLOR, label="train", marker=".")
            axes.plot(epochs, values["val"], color=VAL_COLOR, label=shown_split(select_on), marker=".")
            axes.plot(
                [best["epoch"]], [best[f"val_{name}"]], label=f"best epoch, {best['epoch']:.0f}", **_RING
            )
            is_log = is_flattened([value for line in values.values() for value in line if is_drawn(value)])
            if is_log:
                axes.set_yscale("log")
            axes.set_title(f"{title}, log scale" if is_log else title)
            axes.legend()
        rate.plot(epochs, [row["learning_rate"] for row in rows], color=COLORS[1], marker=".")
        rate.set_title("learning rate, end of epoch")
        for axes in (loss, accuracy, rate):
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        write_figure(figure, path)


_RING: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 9,
    "markerfacecolor": "none",
    "markeredgecolor": "black",
}


def draw_prediction(image: Image.Image, prediction: Prediction, path: Path) -> None:
    """Draw an image, with the boxes of its cars, beside its most likely classes, as a PNG."""
    guesses = list(reversed(prediction.guesses))
    with house_style():
        figure = new_figure(width=9.0, height=3.4)
        left, bars = figure.subplots(1, 2)
        left.imshow(image, cmap="gray")
        left.set_axis_off()
        _draw_boxes(left, prediction)
        percents = [100 * guess.probability for guess in guesses]
        drawn = bars.barh(range(len(guesses)), percents, color=VAL_COLOR)
        bars.bar_label(drawn, [f"{percent:.1f} %" for percent in percents], padding=4)
        bars.set_yticks(range(len(guesses)), [fill(plain_text(guess.name), LABEL_WIDTH) for guess in guesses])
        bars.set_xlim(0, 118)  # room for a label beside the longest bar
        bars.set_xticks(range(0, 101, 20))
        bars.set_xlabel("probability (%)")
        bars.grid(visible=False, axis="y")
        write_figure(figure, path)


def _draw_boxes(axes: Any, prediction: Prediction) -> None:
    """Outline the car that was classified, or all cars."""
    own = () if prediction.box is None else (prediction.box,)
    for box in [car.box for car in prediction.cars] or own:
        start, top, end, bottom = (side - 0.5 for side in box)  # pixels have their centers at integers
        color = BOX_COLOR if box == prediction.box else OTHER_BOX_COLOR
        axes.plot([start, end, end, start, start], [top, top, bottom, bottom, top], color=color)


def draw_activation_map(seen: ExplainedImage, path: Path) -> None:
    """Draw an image, and beside it the image with its Grad-CAM map and the scale of the map's colors."""
    width, height = seen.image.size
    with house_style():
        figure = new_figure(width=9.0, height=3.4)
        plain, marked = figure.subplots(1, 2)
        for axes in (plain, marked):
            axes.imshow(seen.image)
            axes.set_axis_off()
        heat = marked.imshow(
            seen.heat.numpy(),
            cmap=HEAT_MAP,
            vmin=0,
            vmax=1,
            alpha=0.55,
            interpolation="bilinear",
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        )
        figure.colorbar(heat, ax=marked, label="contribution to the class", shrink=0.7)
        title = f"{plain_text(seen.guess.name)} ({seen.guess.probability:.1%})"
        marked.set_title(fill(title, 2 * LABEL_WIDTH))
        write_figure(figure, path)
