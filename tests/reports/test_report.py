"""Pictures of a run and of a prediction: PNG files, whole or not at all."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from lightcars.errors import MissingExtraError, RunError
from lightcars.evaluation.activation_map import ExplainedImage
from lightcars.evaluation.predict import Guess, Prediction
from lightcars.reports import draw_activation_map, draw_curves, draw_prediction


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
