"""Pictures of a run and of a prediction: PNG files, whole or not at all."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from lightcars.errors import MissingExtraError, RunError
from lightcars.evaluation.activation_map import ExplainedImage
from lightcars.evaluation.guesses import Guess, Prediction
from lightcars.plots import COLORS, house_style
from lightcars.reports import draw_activation_map, draw_curves, draw_prediction, pictures
from lightcars.reports.style import _DARK
from tests.figures import overhang, texts_of


def rows(number: int, loss: float = 1.0) -> list[dict[str, float]]:
    return [
        {
            "epoch": float(epoch),
            "train_loss": loss / epoch,
            "val_loss": loss / epoch + 0.5,
            "train_top1_percent": 10.0 * epoch,
            "val_top1_percent": 8.0 * epoch,
            "learning_rate": 1e-3 / epoch,
        }
        for epoch in range(1, number + 1)
    ]


def read(path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_curves(tmp_path, epochs):
    draw_curves(rows(epochs), tmp_path / "curves.png")
    pixels = read(tmp_path / "curves.png")
    assert pixels.shape == (384, 1200, 3)
    assert pixels.std() > 5


def test_curves_show_the_metrics(tmp_path):
    draw_curves(rows(5), tmp_path / "one.png")
    draw_curves(rows(5), tmp_path / "same.png")
    draw_curves(rows(5, loss=3.0), tmp_path / "other.png")
    assert np.array_equal(read(tmp_path / "one.png"), read(tmp_path / "same.png"))
    assert not np.array_equal(read(tmp_path / "one.png"), read(tmp_path / "other.png"))


def test_curves_of_a_run_with_a_hole(tmp_path):
    holey = rows(3)
    holey[1]["val_loss"] = float("nan")
    draw_curves(holey, tmp_path / "curves.png")
    assert read(tmp_path / "curves.png").size


@pytest.fixture
def figures(monkeypatch) -> list:
    """The figures that are written from here on."""
    found: list = []
    write = pictures.write_figure
    monkeypatch.setattr(
        pictures, "write_figure", lambda figure, path: found.append(figure) or write(figure, path)
    )
    return found


@pytest.mark.parametrize("select_on", ["val", "test"])
def test_curves_mark_the_best_epoch_and_nothing_is_clipped(tmp_path, figures, select_on):
    draw_curves(rows(30), tmp_path / "curves.png", select_on=select_on)
    (figure,) = figures
    assert overhang(figure) == 0
    loss, accuracy, _ = figure.axes
    (ring,) = [line for line in accuracy.lines if line.get_label() == "best epoch, 30"]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (30, 8.0 * 30)
    assert loss.get_title() == "loss"


def test_curves_with_an_outlier_are_logarithmic(tmp_path, figures):
    outlier = rows(8)
    outlier[0]["val_loss"] = 900.0
    draw_curves(outlier, tmp_path / "curves.png")
    loss, accuracy, _ = figures[0].axes
    assert (loss.get_yscale(), loss.get_title()) == ("log", "loss, log scale")
    assert accuracy.get_yscale() == "linear"


def test_a_prediction_says_its_percentages(tmp_path, figures):
    guesses = (Guess("a" * 70, 1.0), Guess("Bus $5 $6", 0.0004))
    draw_prediction(Image.new("RGB", (50, 20)), Prediction(None, guesses), tmp_path / "picture.png")
    said = texts_of(figures[0])
    assert {"100.0 %", "0.0 %"} <= set(said)
    assert overhang(figures[0]) == 0


def test_an_activation_map_has_a_scale_and_perceptual_colors(tmp_path, figures):
    seen = ExplainedImage(Image.new("RGB", (50, 20), "gray"), torch.ones(8, 8), Guess("a b " * 30, 0.5))
    draw_activation_map(seen, tmp_path / "cam.png")
    _, marked, scale = figures[0].axes
    assert scale.get_ylabel() == "contribution to the class"
    colors = marked.images[1].get_cmap()(np.linspace(0, 1, 32))[:, :3]
    lightness = colors @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(lightness) > 0).all(), "more is lighter, in gray too"
    assert overhang(figures[0]) == 0


DEUTERANOPIA = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]
PROTANOPIA = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]
"""Linear colors as people without green or red cones see them (Machado et al. 2009, severity 1)."""


@pytest.mark.parametrize("palette", [COLORS, _DARK], ids=["light", "dark"])
@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["all", "no green", "no red"])
def test_colors_can_be_told_apart(palette, seen):
    from matplotlib.colors import to_rgb

    colors = np.array([to_rgb(color) for color in palette])
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    light = np.clip(linear @ np.array(seen).T, 0, 1)
    shown = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    distances = np.linalg.norm(shown[:, None] - shown[None], axis=2)
    assert distances[~np.eye(len(palette), dtype=bool)].min() > 0.15


def test_the_style_is_not_left_to_others():
    from matplotlib import rcParams

    before = dict(rcParams)
    with house_style():
        assert not rcParams["axes.spines.top"]
    assert dict(rcParams) == before


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("number", [1, 5])
def test_a_prediction(tmp_path, mode, number):
    names = ["Ram C/V Cargo Van Minivan 2012", "Bus $5", "Café", "van_3", "a" * 60]
    guesses = tuple(Guess(name, 0.5 / (i + 1)) for i, name in enumerate(names[:number]))
    draw_prediction(
        Image.new(mode, (50, 20)), Prediction(tmp_path / "x.jpg", guesses), tmp_path / "picture.png"
    )
    assert read(tmp_path / "picture.png").std() > 5


@pytest.mark.parametrize("size", [(50, 20), (20, 90)])
def test_an_activation_map(tmp_path, size):
    heat = torch.zeros(8, 8)
    photo = Image.new("RGB", size, "gray")
    for name, values in (("nothing", heat), ("something", heat + 1)):
        seen = ExplainedImage(photo, values, Guess("Bus $5 $6", 0.5))
        draw_activation_map(seen, tmp_path / f"{name}.png")
    assert not np.array_equal(read(tmp_path / "nothing.png"), read(tmp_path / "something.png"))


def test_folders_are_made_and_nothing_else_is_left(tmp_path):
    draw_curves(rows(2), tmp_path / "deep" / "curves.png")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["curves.png"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=f"cannot write {tmp_path}/file/curves.png") as caught:
        draw_curves(rows(2), tmp_path / "file" / "curves.png")
    assert "\n" not in str(caught.value)


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lightcars\[cars\]'"):
        draw_curves(rows(2), tmp_path / "curves.png")


def test_drawing_needs_no_display_and_leaves_no_figure_open(tmp_path):
    draw_curves(rows(2), tmp_path / "curves.png")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
