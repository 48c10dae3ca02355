"""The car is found before it is classified: its box is what the model sees, and no car is said to be none."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from lightcars import Prediction, ghostnet, predict, save
from lightcars.cli.main import app
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.errors import ConfigError, InputError
from lightcars.evaluation import finding
from lightcars.evaluation.bulk.engine import EngineChoice
from lightcars.evaluation.bulk.table import Job, write_table
from lightcars.evaluation.finding import find_cars, views_of
from lightcars.evaluation.guesses import Car, Guess
from lightcars.evaluation.options import PredictOptions
from lightcars.models.preprocessing import Preprocessing
from lightcars.plots import COLORS
from lightcars.runs.trained import load_trained
from tests.training.tiny_settings import TINY_MODEL

LARGE, SMALL = (0.25, 0.25, 0.75, 0.75), (0.0, 0.8, 0.2, 1.0)
LARGE_BOX, SMALL_BOX = (30, 20, 90, 60), (0, 64, 24, 80)
"""In pixels of 120 x 80."""


class Fake(nn.Module):
    """Finds the same boxes in each image, or none in an image that is black."""

    least_score = 0.5
    preprocessing = Preprocessing(resolution=32, mean=(0.0,) * 3, std=(1.0,) * 3)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        assert x.shape[1:] == (3, 32, 32)
        score = 0.9 * (x.amax((1, 2, 3)) > 0)
        rows = [(0.9, *SMALL), (1, *LARGE), (0.5, *LARGE), (0.1, 0, 0, 1, 1)]
        return torch.tensor(rows)[None] * torch.stack([score, *[torch.ones_like(score)] * 4], -1)[:, None]


@pytest.fixture
def finder(monkeypatch):
    fake = Fake()
    monkeypatch.setattr(finding, "shipped_finder", lambda _: fake)
    return fake


@pytest.fixture(scope="module")
def cars(tmp_path_factory) -> Path:
    """A tiny model of the 196 cars, which says different things of different images."""
    torch.manual_seed(0)
    model = ghostnet(num_classes=196, **TINY_MODEL).eval()
    nn.init.normal_(model.classifier.weight, std=2)
    folder = tmp_path_factory.mktemp("cars") / "tiny"
    preprocessing = Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.25,) * 3)
    return save(model, folder, classes=CLASS_NAMES, preprocessing=preprocessing)


@pytest.fixture(scope="module")
def image() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (10, 15, 3), np.uint8)
    return Image.fromarray(np.kron(noise, np.ones((8, 8, 1), np.uint8)))


BLACK = Image.new("RGB", (120, 80))


def same(one: Prediction, other: Prediction) -> bool:
    return [guess.name for guess in one.guesses] == [guess.name for guess in other.guesses] and np.allclose(
        [guess.probability for guess in one.guesses],
        [guess.probability for guess in other.guesses],
        rtol=1e-4,
    )


def test_the_largest_car_comes_first_and_low_scores_are_none(finder, image):
    found = find_cars(finder, image)
    assert [car.box for car in found] == [LARGE_BOX, SMALL_BOX]
    assert [car.score for car in found] == pytest.approx([0.9, 0.81])
    assert find_cars(finder, BLACK) == []


def test_what_is_classified_is_the_box(finder, cars, image):
    (found,) = predict(cars, image)
    (cut,) = predict(cars, image.crop(LARGE_BOX), cut=True)
    (whole,) = predict(cars, image, cut=True)
    assert (found.car_found, found.box, found.cars) == (True, LARGE_BOX, ())
    assert (whole.car_found, whole.box) == (None, None)
    assert same(found, cut)
    assert not same(found, whole)


def test_no_car_is_not_familiar(finder, cars):
    (found,), (cut,) = predict(cars, BLACK), predict(cars, BLACK, cut=True)
    assert (found.car_found, found.box, found.familiar) == (False, None, False)
    assert cut.familiar is None
    assert same(found, cut)


def test_all_cars(finder, cars, image):
    (found,) = predict(cars, image, all_cars=True)
    assert [car.box for car in found.cars] == [LARGE_BOX, SMALL_BOX]
    for car in found.cars:
        (expected,) = predict(cars, image.crop(car.box), cut=True)
        assert same(Prediction(None, car.guesses), expected)
    assert (found.box, found.guesses) == (found.cars[0].box, found.cars[0].guesses)


def test_other_classes_are_classified_as_they_are(finder, finished, image):
    assert predict(finished.run, image)[0].car_found is None
    assert finder.calls == 0
    assert predict(finished.run, image, cut=False)[0].box == LARGE_BOX
    with pytest.raises(ConfigError, match=r"set cut=False \(--no-cut\)"):
        predict(finished.run, image, all_cars=True)


@pytest.mark.parametrize("engine", ["eager", "torch"])
def test_lists_are_as_single_images(finder, cars, image, engine):
    images = [image, BLACK, image.rotate(180), image.convert("L")]
    several = predict(cars, images, all_cars=True, batch_size=2, engine=engine)
    for one, given in zip(several, images, strict=True):
        (alone,) = predict(cars, given, all_cars=True)
        assert (one.car_found, one.box) == (alone.car_found, alone.box)
        assert same(one, alone)
        assert len(one.cars) == len(alone.cars)
        for car, expected in zip(one.cars, alone.cars, strict=True):
            assert car.box == expected.box
            assert same(Prediction(None, car.guesses), Prediction(None, expected.guesses))


def test_a_gray_model_sees_the_box_in_gray(finder, image, tmp_path):
    torch.manual_seed(0)
    model = ghostnet(num_classes=196, img_channels=1, **TINY_MODEL).eval()
    gray = Preprocessing(resolution=32, mean=(0.5,), std=(0.25,))
    save(model, tmp_path / "gray", classes=CLASS_NAMES, preprocessing=gray)
    (found,) = predict(tmp_path / "gray", image)
    assert found.box == LARGE_BOX
    assert same(found, predict(tmp_path / "gray", image.crop(LARGE_BOX), cut=True)[0])
    assert same(found, predict(tmp_path / "gray", [image, image])[0])
    (several,) = predict(tmp_path / "gray", [image.convert("L")])
    (one,) = predict(tmp_path / "gray", image.convert("L"))
    assert several.box == one.box == LARGE_BOX
    assert same(several, one)


def test_levels(finder, cars, image):
    (full,), (make,) = (predict(cars, image, top=196, level=level) for level in ("full", "make"))
    bmw = sum(guess.probability for guess in full.guesses if guess.name.startswith("BMW "))
    assert {g.name: g.probability for g in make.guesses}["BMW"] == pytest.approx(bmw)
    assert len(predict(cars, [image, image], top=196, level="model")[1].guesses) == 174
    with pytest.raises(ConfigError, match="level"):
        predict(cars, image, level="year")


def test_levels_are_for_cars(finished, image):
    with pytest.raises(InputError, match="196 classes of Stanford Cars"):
        predict(finished.run, image, level="make")


def test_weights_for_cars_expect_cut_cars_unless_the_run_says_otherwise(cars, finished):
    assert load_trained(cars, "cpu").expects_cut_cars
    assert load_trained("cars196", "cpu").expects_cut_cars
    assert not load_trained("imagenet", "cpu").expects_cut_cars
    assert not load_trained(finished.run, "cpu").expects_cut_cars


@pytest.mark.parametrize(
    ("layout", "region", "expected"),
    [
        ("original", "whole", False),
        ("original", "box", True),
        ("class folders", "whole", True),
        ("train_labels.csv", "masked", False),
    ],
)
def test_runs(cars, finished, tmp_path, layout, region, expected):
    from lightcars.runs.folder import RunFolder

    description = RunFolder(finished.run).read()
    run = RunFolder(tmp_path)
    recipe = replace(description.recipe, region=region)
    run.write(replace(description, recipe=recipe, data=replace(description.data, layout=layout)))
    run.best.symlink_to(cars)
    assert load_trained(tmp_path, "cpu").expects_cut_cars is expected
    assert load_trained(run.best, "cpu").expects_cut_cars is expected, "its best model, by its own path"


def test_doubts_and_other_cars_are_shown():
    first, second = ((Guess(name, 0.5),) for name in ("A", "B"))
    none = Prediction(None, first, familiar=False, car_found=False)
    assert "no car found" in repr(none)
    assert "no car found" in none._repr_html_()
    assert "unfamiliar" not in repr(none) + none._repr_html_()
    several = Prediction(None, first, True, True, LARGE_BOX, (Car(LARGE_BOX, first), Car(SMALL_BOX, second)))
    html = several._repr_html_()
    assert html.index(">A<") < html.index("car 2") < html.index(">B<")


def test_a_table_has_the_boxes(finder, cars, image, tmp_path):
    image.save(tmp_path / "a.png")
    BLACK.save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no image")
    choice = EngineChoice(engine="eager", batch_size=2)
    job = Job(run=str(cars), sources=(str(tmp_path),), top=1, choice=choice)
    names = [str(tmp_path / f"{name}.png") for name in "abc"]
    write_table(job, names, tmp_path / "table.csv", device="cpu")
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    sides = [[row[side] for side in ("car_found", "left", "top", "right", "bottom")] for row in rows]
    assert sides == [["true", *map(str, LARGE_BOX)], ["false", "", "", "", ""], ["", "", "", "", ""]]
    assert [row["familiar"] for row in rows] == ["", "false", ""]
    everything = replace(job, options=PredictOptions(all_cars=True, level="make"))
    write_table(everything, names, tmp_path / "table.jsonl", device="cpu")
    first, second, third = map(json.loads, (tmp_path / "table.jsonl").read_text().splitlines())
    assert [car["box"] for car in first["cars"]] == [list(LARGE_BOX), list(SMALL_BOX)]
    assert first["guesses"] == first["cars"][0]["guesses"]
    assert (second["car_found"], second["box"], "cars" in second) == (False, None, False)
    assert "error" in third
    assert job.settings(load_trained(cars, "cpu")) != everything.settings(load_trained(cars, "cpu"))


def test_the_command_line(finder, cars, image, tmp_path):
    image.save(tmp_path / "a.png")
    BLACK.save(tmp_path / "b.png")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["predict", str(cars), *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    one, other = str(tmp_path / "a.png"), str(tmp_path / "b.png")
    (found,) = json.loads(run(one, "--json", "--top", "1"))
    assert (found["car_found"], found["box"]) == (True, list(LARGE_BOX))
    (cut,) = json.loads(run(one, "--json", "--top", "1", "--cut"))
    assert "box" not in cut
    assert "no car found" in run(other)
    assert "no car found" not in run(other, "--cut")
    shown = run(one, "--all", "--level", "make", "--picture", str(tmp_path / "plot.png"))
    assert "car 1 (30, 20 to 90, 60)" in shown
    assert "car 2 (0, 64 to 24, 80)" in shown
    assert (tmp_path / "plot.png").stat().st_size > 1000
    assert "car 2 (0, 64 to 24, 80)" in run(one, other, "--all")
    run(one, "--cam", str(tmp_path / "cam.png"))


def test_the_box_is_drawn(tmp_path, image):
    from lightcars.evaluation.guesses import Guess
    from lightcars.reports import draw_prediction

    guess = (Guess("Audi", 1.0),)
    draw_prediction(image, Prediction(None, guess), tmp_path / "without.png")
    draw_prediction(image, Prediction(None, guess, box=LARGE_BOX), tmp_path / "with.png")
    plots = [
        np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"), int) for name in ("without", "with")
    ]
    color = [int(COLORS[1][start : start + 2], 16) for start in (1, 3, 5)]
    orange = [(abs(plot - color).sum(-1) < 30).sum() for plot in plots]
    assert orange[1] > orange[0] + 200, "the bars have this color too"


def test_an_image_without_cars_in_all_cars(finder):
    views = views_of(BLACK, finder, all_cars=True)
    assert (views.images, views.boxes, views.looked) == ((BLACK,), (), True)


@pytest.fixture(scope="module")
def shared() -> Path:
    folder = Path(os.environ.get("LIGHTCARS_SHARED", Path(__file__).parents[3] / "shared"))
    if not (folder / "cars196" / "whole").is_dir() or not (folder / "imagenet1000").is_dir():
        pytest.skip(f"{folder} has no whole photographs")
    return folder


@pytest.mark.slow
def test_whole_photographs_have_the_recorded_accuracy(shared):
    path = Path(__file__).parents[2] / "benchmarks" / "results" / "whole_photographs.json"
    recorded = json.loads(path.read_text())["results"]["levels"]["full"]["whole"]
    files = sorted((shared / "cars196" / "whole").glob("*/*.webp"))
    assert len(files) == 45
    names = [name.replace("/", "-") for name in CLASS_NAMES]
    right = [
        found.guesses[0].name == CLASS_NAMES[names.index(file.parent.name)]
        for found, file in zip(predict("cars196", files, top=1), files, strict=True)
    ]
    assert 100 * np.mean(right) == pytest.approx(recorded, abs=0.01)


@pytest.mark.slow
def test_images_without_cars_are_told(shared):
    files = sorted((shared / "imagenet1000").glob("*.webp"))[1::20]
    found = predict("cars196", files, top=1)
    missed = [file.name for file, one in zip(files, found, strict=True) if one.car_found]
    assert len(missed) <= 0.1 * len(files), missed
    wagon = next((shared / "imagenet1000").glob("*_beach_wagon.webp"))
    assert predict(wagon).car_found
