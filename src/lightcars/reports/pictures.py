"""Plots as PNG: the curves of a run, an image with its prediction or its Grad-CAM map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightcars.plots import new_figure, write_figure
from lightcars.runs.folder import Row
from lightcars.runs.selection import shown_split
from lightcars.text import one_line

if TYPE_CHECKING:
    from PIL import Image

    from lightcars.evaluation.activation_map import ExplainedImage
    from lightcars.evaluation.guesses import Prediction

TRAIN_COLOR, VAL_COLOR = "tab:gray", "tab:blue"
BOX_COLOR, OTHER_BOX_COLOR = "tab:orange", "tab:gray"


def draw_curves(rows: Sequence[Row], path: Path, *, select_on: str = "val") -> None:
    """Draw loss, top-1 accuracy and learning rate over the epochs, as a PNG."""
    figure = new_figure(width=10.0, height=3.2)
    loss, accuracy, rate = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in rows]
    for axes, name, title in ((loss, "loss", "loss"), (accuracy, "top1_percent", "top-1 (%)")):
        for split, color in (("train", TRAIN_COLOR), ("val", VAL_COLOR)):
            label = shown_split(select_on) if split == "val" else split
            axes.plot(epochs, [row[f"{split}_{name}"] for row in rows], color=color, label=label, marker=".")
        axes.set_title(title)
        axes.legend(frameon=False)
    rate.plot(epochs, [row["learning_rate"] for row in rows], color="tab:orange", marker=".")
    rate.set_title("learning rate at the end of the epoch")
    for axes in (loss, accuracy, rate):
        axes.set_xlabel("epoch")
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    write_figure(figure, path)


def draw_prediction(image: Image.Image, prediction: Prediction, path: Path) -> None:
    """Draw an image, with the box that was classified, beside its most likely classes, as a PNG."""
    figure = new_figure(width=9.0, height=3.4)
    left, bars = figure.subplots(1, 2)
    left.imshow(image, cmap="gray")
    left.set_axis_off()
    own = () if prediction.box is None else (prediction.box,)
    for box in [car.box for car in prediction.cars] or own:
        start, top, end, bottom = (side - 0.5 for side in box)  # pixels have their centers at integers
        color = BOX_COLOR if box == prediction.box else OTHER_BOX_COLOR
        left.plot([start, end, end, start, start], [top, top, bottom, bottom, top], color=color)
    guesses = list(reversed(prediction.guesses))
    bars.barh(range(len(guesses)), [guess.probability for guess in guesses], color=VAL_COLOR)
    bars.set_yticks(range(len(guesses)), [_label(guess.name) for guess in guesses])
    bars.set_xlim(0, 1)
    bars.set_xlabel("probability")
    bars.spines[["top", "right"]].set_visible(False)
    write_figure(figure, path)


def _label(name: str) -> str:
    """Return a class name as matplotlib shows it unchanged: text between two $ would be a formula."""
    return one_line(name).replace("$", r"\$")


def draw_activation_map(seen: ExplainedImage, path: Path) -> None:
    """Draw an image, and beside it the image with its Grad-CAM map in warm colors."""
    figure = new_figure(width=9.0, height=3.4)
    width, height = seen.image.size
    plain, marked = figure.subplots(1, 2)
    for axes in (plain, marked):
        axes.imshow(seen.image)
        axes.set_axis_off()
    marked.imshow(
        seen.heat.numpy(),
        cmap="jet",
        vmin=0,
        vmax=1,
        alpha=0.45,
        interpolation="bilinear",
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )
    marked.set_title(f"{_label(seen.guess.name)} ({seen.guess.probability:.1%})", wrap=True)
    write_figure(figure, path)
